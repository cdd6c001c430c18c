-- Of each of several values when the first few jobs are due and their ids, from the index alone, and
-- the rules of the first.
with head (queue, priority, fair_key) as materialized (
    select value ->> 0, value ->> 1, value ->> 2 from json_each(:values)
)
select e.fair_key, (
    select json_group_array(json_array(scheduled_at, id)) from (
        select scheduled_at, id from longshore_job indexed by longshore_job_fair
        where state = 'available' and parked is null and blocked_by is null
          and fair_key is not null
          and queue = e.queue and priority = e.priority and fair_key = e.fair_key
        order by scheduled_at, id
        limit :each
    )
), (
    select rules from longshore_job indexed by longshore_job_fair
    where state = 'available' and parked is null and blocked_by is null and fair_key is not null
      and queue = e.queue and priority = e.priority and fair_key = e.fair_key
    order by scheduled_at, id
    limit 1
)
from head as e;
