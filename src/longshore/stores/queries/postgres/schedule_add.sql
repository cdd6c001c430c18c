-- New schedules; one that somebody else has just added stays as it is.
insert into longshore_schedule (
    name, revision, seen_at, watermark, last_job, last_at, fired, skipped, missed, firing, entry
)
select * from unnest(
    %(c0)s::text[], %(c1)s::bigint[], %(c2)s::bigint[], %(c3)s::bigint[],
    %(c4)s::text[], %(c5)s::bigint[], %(c6)s::bigint[], %(c7)s::bigint[],
    %(c8)s::bigint[], %(c9)s::text[], %(c10)s::text[]
)
on conflict (name) do nothing;
