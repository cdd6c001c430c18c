-- How many starts of each rate key its window has seen, and whether jobs wait for the key.
select
    e.key,
    coalesce(s.starts[cardinality(s.at)] - coalesce(s.starts[width_bucket(e.since, s.at)], s.base), 0),
    exists (select from longshore_job where blocked_by = e.key)
from unnest(%(keys)s::text[], %(since)s::bigint[]) as e (key, since)
left join longshore_start as s on s.limit_key = e.key;
