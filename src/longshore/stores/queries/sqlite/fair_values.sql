-- The values that take turns in these queues, each at the first priority where some do: one seek a
-- value.
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
)
select queue, priority, fair_key from found where fair_key is not null;
