-- Running jobs of these processes that a person wants to end.
select j.id, j.claimed_by, j.run
from json_each(:ids) as e
cross join longshore_job as j indexed by longshore_job_running
    on j.state = 'running' and j.claimed_by = e.value
where j.cancel_requested;
