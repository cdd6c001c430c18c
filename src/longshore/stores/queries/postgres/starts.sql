-- How many starts of each rate key its window has seen.
select e.key, coalesce((
    select sum(starts)::bigint from longshore_start where limit_key = e.key and at > e.since
), 0)
from unnest(%(keys)s::text[], %(since)s::bigint[]) as e (key, since);
