-- The rules of one job that each of these keys has blocked, if there is one.
select e.value, j.rules
from json_each(:keys) as e cross join longshore_job as j on j.id = (
    select id from longshore_job indexed by longshore_job_blocked
    where blocked_by = e.value
    order by queue, priority, scheduled_at, id limit 1
);
