-- When the first job of each of these queues fell due, whether it is in the line, takes turns or is
-- blocked: one seek a value, and one a queue and key.
with recursive level (queue, priority) as (
    select e.value, (
        select priority from longshore_job indexed by longshore_job_fair
        where state = 'available' and parked is null and blocked_by is null
          and fair_key is not null and queue = e.value
        order by priority limit 1
    )
    from json_each(:queues) as e
),
found (queue, priority, fair_key) as (
    select level.queue, level.priority, (
        select fair_key from longshore_job indexed by longshore_job_fair
        where state = 'available' and parked is null and blocked_by is null
          and fair_key is not null and queue = level.queue and priority = level.priority
        order by fair_key limit 1
    )
    from level where level.priority is not null
    union all
    select found.queue, found.priority, (
        select fair_key from longshore_job indexed by longshore_job_fair
        where state = 'available' and parked is null and blocked_by is null
          and queue = found.queue and priority = found.priority and fair_key > found.fair_key
        order by fair_key limit 1
    )
    from found where found.fair_key is not null
),
blocked (id) as (
    select (
        select id from longshore_job indexed by longshore_job_blocked
        where blocked_by is not null
        order by blocked_by, queue, priority, scheduled_at, id limit 1
    )
    union all
    select (
        select n.id from longshore_job as n indexed by longshore_job_blocked
        where n.blocked_by is not null and (n.blocked_by, n.queue) > (p.blocked_by, p.queue)
        order by n.blocked_by, n.queue, n.priority, n.scheduled_at, n.id limit 1
    )
    from blocked cross join longshore_job as p on p.id = blocked.id
),
head (queue, priority, scheduled_at, id) as (
    select j.queue, j.priority, j.scheduled_at, j.id
    from json_each(:queues) as e cross join longshore_job as j on j.id = (
        select id from longshore_job indexed by longshore_job_line
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and queue = e.value
        order by priority, scheduled_at, id limit 1
    )
    union all
    select j.queue, j.priority, j.scheduled_at, j.id
    from found cross join longshore_job as j on j.id = (
        select id from longshore_job indexed by longshore_job_fair
        where state = 'available' and parked is null and blocked_by is null
          and queue = found.queue and priority = found.priority and fair_key = found.fair_key
        order by scheduled_at, id limit 1
    )
    where found.fair_key is not null
    union all
    select j.queue, j.priority, j.scheduled_at, j.id
    from blocked cross join longshore_job as j on j.id = blocked.id
)
select e.value, (
    select scheduled_at from head where head.queue = e.value
    order by priority, scheduled_at, id limit 1
)
from json_each(:queues) as e;
