-- The virtual time of these queues and priorities, and where the last turns ended.
with level (queue, priority) as materialized (
    select value ->> 0, value ->> 1 from json_each(:levels)
)
select j.queue, j.priority, j.fair_key, j.ends_at
from level as e cross join longshore_turn as j on j.queue = e.queue and j.priority = e.priority;
