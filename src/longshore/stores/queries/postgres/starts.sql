-- How many starts of each rate key its window has seen.
select e.value ->> 0, coalesce((
    select sum(starts)::bigint from longshore_start
    where limit_key = e.value ->> 0 and at > (e.value ->> 1)::bigint
), 0)
from json_array_elements(%(rates)s::json) as e (value);
