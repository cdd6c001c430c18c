-- The first jobs of one queue that nobody else takes just now, in the order of a claim, from where
-- the first one stands: before it there are only entries of jobs that are gone.
select id, kind, queue, payload, concat('[', concat_ws(
    ',', run + 1, priority, failures, interruptions, max_attempts, scheduled_at, created_at, %s,
    coalesce(timeout, 'null'), coalesce(keep_result, 'null')
), ']'), budgets, tags, meta, rules
from longshore_job
where line = %s
  and (place > %s or (place = %s and (scheduled_at > %s or (scheduled_at = %s and id >= %s))))
order by line, place, scheduled_at, id
limit %s
for update skip locked;
