-- Where the first few jobs of each of several queues stand in the order of a claim, whoever looks at
-- them; each place a text, as `fronts.py` says, and a comma between two.
select q.name, array_to_string(array(
    select
        concat(500000 + priority, 5000000000000000000 + scheduled_at, id, queue)
    from longshore_job
    where state = 'available' and parked is null and blocked_by is null and fair_key is null
      and queue = q.name
    order by priority, scheduled_at, id
    limit %(each)s
), ',')
from unnest(%(queues)s::text[]) as q (name);
