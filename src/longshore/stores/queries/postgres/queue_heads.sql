-- When the first job of each of these queues fell due.
select q.name, (
    select scheduled_at from longshore_job
    where state = 'available' and parked is null and queue = q.name
    order by priority, scheduled_at, id
    limit 1
)
from unnest(%(queues)s::text[]) as q (name);
