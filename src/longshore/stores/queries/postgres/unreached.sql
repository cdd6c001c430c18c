-- Running jobs of a process that belong to claims whose answer never reached it.
select id::text, run, claimed_by, claimed_at, queue, kind, cancel_requested, keep_result, reason,
       runs, rules
from longshore_job
where state = 'running' and claimed_by = %(process_id)s and claim_id < %(oldest_claim)s
limit %(limit)s
for update skip locked;
