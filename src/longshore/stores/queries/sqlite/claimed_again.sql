-- The running jobs that an earlier claim with this number took, in the order of a claim.
select id, run, kind, queue, payload, priority, failures, interruptions, max_attempts,
       scheduled_at, created_at, claimed_at, timeout, keep_result, budgets, tags, meta, rules
from longshore_job indexed by longshore_job_running
where state = 'running' and claimed_by = :process_id and claim_id = :claim_id
order by priority, scheduled_at, id;
