-- The running jobs that an earlier claim with this number took, in the order of a claim.
select id, kind, queue, payload, concat('[', concat_ws(
    ',', run, priority, failures, interruptions, max_attempts, scheduled_at, created_at, claimed_at,
    coalesce(timeout, 'null'), coalesce(keep_result, 'null')
), ']'), budgets, tags, meta, rules
from longshore_job
where line = concat('~', %(process_id)s) and place = %(claim_id)s
order by priority, scheduled_at, id;
