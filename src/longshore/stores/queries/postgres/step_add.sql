-- Save steps of running jobs; one that is there is replaced.
insert into longshore_step (job_id, name, is_cursor, run, saved_at, value)
select * from unnest(
    %(c0)s::uuid[], %(c1)s::text[], %(c2)s::integer[], %(c3)s::integer[], %(c4)s::bigint[],
    %(c5)s::text[]
)
on conflict (job_id, name) do update set
    is_cursor = excluded.is_cursor, run = excluded.run, saved_at = excluded.saved_at,
    value = excluded.value;
