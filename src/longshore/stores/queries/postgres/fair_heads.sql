-- The first few jobs of each of these values; those that others look at are left to them.
select j.priority, j.scheduled_at, j.id::text, j.queue, j.kind, j.rules, j.fair_key
from json_array_elements(%(values)s::json) as e (value) cross join lateral (
    select priority, scheduled_at, id, queue, kind, rules, fair_key from longshore_job
    where state = 'available' and parked is null and blocked_by is null
      and queue = e.value ->> 0 and priority = (e.value ->> 1)::smallint
      and fair_key = e.value ->> 2
    order by scheduled_at, id
    limit %(each)s
    for update skip locked
) as j;
