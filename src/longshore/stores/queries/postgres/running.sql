-- Running jobs of a process; those that somebody reports on just now are left to them.
select id::text, run, claimed_by, claimed_at, queue, kind, cancel_requested, keep_result, reason,
       runs, rules
from longshore_job
where state = 'running' and claimed_by = %(process_id)s
limit %(limit)s
for update skip locked;
