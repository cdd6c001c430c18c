-- Running jobs of a process.
select id, run, claimed_by, claimed_at, queue, kind, cancel_requested, keep_result, reason, runs,
       rules
from longshore_job indexed by longshore_job_running
where state = 'running' and claimed_by = :process_id
limit :limit;
