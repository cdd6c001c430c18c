-- How many jobs run under each of these keys.
select e.key, (
    select count(*) from longshore_job where state = 'running' and slot_key = e.key
) + (select count(*) from longshore_slot where limit_key = e.key)
from unnest(%(keys)s::text[]) as e (key);
