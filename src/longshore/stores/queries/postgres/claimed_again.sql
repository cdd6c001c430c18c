-- The running jobs that an earlier claim with this number took, in the order of a claim.
select j.id::text, j.run, j.kind, j.queue, j.payload, j.priority, j.failures, j.interruptions,
       j.max_attempts, j.scheduled_at, j.created_at, j.claimed_at, j.timeout, j.keep_result,
       j.budgets, j.tags, j.meta, j.rules
from longshore_job as j
where j.state = 'running' and j.claimed_by = %(process_id)s and j.claim_id = %(claim_id)s
order by j.priority, j.scheduled_at, j.id;
