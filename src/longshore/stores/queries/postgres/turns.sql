-- Where the last turns ended at these priorities of queues.
select t.queue, t.priority, t.fair_key, t.ends_at
from json_array_elements(%(levels)s::json) as e (value)
join longshore_turn as t
    on t.queue = e.value ->> 0 and t.priority = (e.value ->> 1)::smallint;
