-- The rules of one job that waits for each of these keys.
select e.key, j.rules
from unnest(%(keys)s::text[]) as e (key) cross join lateral (
    select rules from longshore_job where blocked_by = e.key
    order by queue, priority, scheduled_at, id
    limit 1
) as j;
