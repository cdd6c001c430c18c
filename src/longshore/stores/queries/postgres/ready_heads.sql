-- The first few jobs of each of several queues, for a claim that looks at each; those that others
-- look at are left to them.
select j.priority, j.scheduled_at, j.id::text, j.queue, j.kind, j.rules
from unnest(%(queues)s::text[]) as q (name) cross join lateral (
    select priority, scheduled_at, id, queue, kind, rules from longshore_job
    where state = 'available' and parked is null and blocked_by is null and fair_key is null
      and queue = q.name
    order by priority, scheduled_at, id
    limit %(each)s
    for update skip locked
) as j;
