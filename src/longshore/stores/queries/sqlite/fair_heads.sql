-- Where the first few jobs of each of several values stand.
with head (queue, priority, fair_key) as materialized (
    select value ->> 0, value ->> 1, value ->> 2 from json_each(:values)
)
select j.priority, j.scheduled_at, j.id, j.queue, j.kind, j.rules, j.fair_key
from head as e cross join longshore_job as j on j.id in (
    select id from longshore_job indexed by longshore_job_fair
    where state = 'available' and parked is null and blocked_by is null and fair_key is not null
      and queue = e.queue and priority = e.priority and fair_key = e.fair_key
    order by scheduled_at, id
    limit :each
);
