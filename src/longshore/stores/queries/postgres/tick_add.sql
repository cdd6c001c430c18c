-- What became of ticks.
insert into longshore_tick (name, at, outcome, why, job_id, made_at)
select * from unnest(
    %(c0)s::text[], %(c1)s::bigint[], %(c2)s::text[],
    %(c3)s::text[], %(c4)s::text[], %(c5)s::bigint[]
)
on conflict (name, at) do nothing;
