-- When the first job of each of these queues fell due.
select q.value, (
    select scheduled_at from longshore_job indexed by longshore_job_line
    where state = 'available' and parked is null and queue = q.value
    order by priority, scheduled_at, id
    limit 1
)
from json_each(:queues) as q;
