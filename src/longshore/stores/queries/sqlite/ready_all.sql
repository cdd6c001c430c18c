-- The first jobs of all queues, in the order of a claim.
select id, run + 1, kind, queue, payload, priority, failures, interruptions, max_attempts,
       scheduled_at, created_at, :now, timeout, keep_result, budgets, tags, meta
from longshore_job indexed by longshore_job_ready
where state = 'available' and parked is null
order by priority, scheduled_at, id
limit :limit;
