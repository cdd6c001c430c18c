-- Every value that has jobs at the lowest priority of each queue at which values take turns.
with recursive level (queue, priority) as (
    select q.name, (
        select priority from longshore_job
        where state = 'available' and parked is null and blocked_by is null
          and fair_key is not null and queue = q.name
        order by priority limit 1
    )
    from unnest(%(queues)s::text[]) as q (name)
), found (queue, priority, fair_key) as (
    select l.queue, l.priority, (
        select fair_key from longshore_job
        where state = 'available' and parked is null and blocked_by is null
          and fair_key is not null and queue = l.queue and priority = l.priority
        order by fair_key limit 1
    )
    from level as l where l.priority is not null
    union all
    select f.queue, f.priority, (
        select fair_key from longshore_job
        where state = 'available' and parked is null and blocked_by is null
          and queue = f.queue and priority = f.priority and fair_key > f.fair_key
        order by fair_key limit 1
    )
    from found as f where f.fair_key is not null
)
select queue, priority, fair_key from found where fair_key is not null;
