-- When the first job of each of these queues fell due, of those in the line, those that take turns
-- and those that wait for a limit.
select q.name, (
    select scheduled_at from (
        (
            select priority, scheduled_at, id from longshore_job
            where state = 'available' and parked is null and blocked_by is null
              and fair_key is null and queue = q.name
            order by priority, scheduled_at, id
            limit 1
        )
        union all
        (
            select priority, scheduled_at, id from longshore_job
            where state = 'available' and parked is null and blocked_by is null
              and fair_key is not null and queue = q.name
            order by priority, scheduled_at, id
            limit 1
        )
        union all
        (
            select priority, scheduled_at, id from longshore_job
            where blocked_by is not null and queue = q.name
            order by priority, scheduled_at, id
            limit 1
        )
    ) as j
    order by priority, scheduled_at, id
    limit 1
)
from unnest(%(queues)s::text[]) as q (name);
