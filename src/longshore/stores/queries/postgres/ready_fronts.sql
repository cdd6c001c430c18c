-- Every queue that holds jobs ready to run, except where values take turns, and where its first one
-- stands in the order of a claim: one seek a queue, however many jobs it holds.
with recursive found (priority, scheduled_at, id, queue) as (
    (
        select priority, scheduled_at, id, queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
        order by queue, priority, scheduled_at, id limit 1
    )
    union all
    select j.priority, j.scheduled_at, j.id, j.queue
    from found cross join lateral (
        select priority, scheduled_at, id, queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and queue > found.queue
        order by queue, priority, scheduled_at, id limit 1
    ) as j
)
select priority, scheduled_at, id::text, queue from found;
