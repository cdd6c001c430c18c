-- The first jobs of one queue, in the order of a claim.
select id, run + 1, kind, queue, payload, priority, failures, interruptions, max_attempts,
       scheduled_at, created_at, :now, timeout, keep_result, budgets, tags, meta, rules
from longshore_job indexed by longshore_job_line
where state = 'available' and parked is null and blocked_by is null and fair_key is null
  and queue = :queue
order by priority, scheduled_at, id
limit :limit;
