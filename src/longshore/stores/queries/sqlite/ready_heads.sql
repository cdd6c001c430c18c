-- Where the first few jobs of each of several queues stand in the order of a claim.
select j.priority, j.scheduled_at, j.id, j.queue, j.kind, j.rules
from json_each(:queues) as q cross join longshore_job as j on j.id in (
    select id from longshore_job indexed by longshore_job_line
    where state = 'available' and parked is null and blocked_by is null and fair_key is null
      and queue = q.value
    order by priority, scheduled_at, id
    limit :each
);
