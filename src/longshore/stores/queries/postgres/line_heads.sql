-- Where the first few jobs of each of several queues stand in the order of a claim.
select j.priority, j.scheduled_at, j.id::text, j.queue
from unnest(%(queues)s::text[]) as q (name) cross join lateral (
    select priority, scheduled_at, id, queue from longshore_job
    where state = 'available' and parked is null and blocked_by is null and fair_key is null
      and queue = q.name
    order by priority, scheduled_at, id
    limit %(each)s
) as j;
