-- Where the first job of every queue stands that holds jobs ready to run, except where values take
-- turns: one seek a queue, however many jobs it holds. Each place is a text, as `fronts.py` says; a
-- comma is between two.
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
select string_agg(concat(500000 + priority, 5000000000000000000 + scheduled_at, id, queue), ',')
from found;
