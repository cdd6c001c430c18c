-- How many jobs wait for each of these keys.
select e.key, (select count(*) from longshore_job where blocked_by = e.key)
from unnest(%(keys)s::text[]) as e (key);
