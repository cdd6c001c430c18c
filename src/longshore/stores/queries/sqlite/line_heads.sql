-- Where the first few jobs of each of several queues stand in the order of a claim, all from the
-- index; each place a text, as `fronts.py` says, and a comma between two.
select q.value, (
    select group_concat(
        (500000 + priority) || (5000000000000000000 + scheduled_at) || id || q.value, ','
    ) from (
        select priority, scheduled_at, id from longshore_job indexed by longshore_job_line
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and queue = q.value
        order by priority, scheduled_at, id
        limit :each
    )
)
from json_each(:queues) as q;
