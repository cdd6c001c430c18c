-- Ids of ended jobs that fit, the newest created first, where few do: the counts say which
-- combinations there are, and the index has the jobs of each together.
select j.id
from (
    select state, kind, queue from longshore_count
    where true
      and (coalesce%(states)s is null or state in %(states)s)
      and (coalesce%(queues)s is null or queue in %(queues)s)
      and (coalesce%(kinds)s is null or kind in %(kinds)s)
    group by state, kind, queue
    having sum(jobs) > 0
) as c straight_join longshore_ended as j force index (longshore_ended_what)
    on j.state = c.state and j.kind = c.kind and j.queue = c.queue
where j.id < %(cursor)s
order by j.id desc
limit %(limit)s;
