-- How many jobs each of these keys has blocked.
select e.value, (
    select count(*) from longshore_job indexed by longshore_job_blocked where blocked_by = e.value
)
from json_each(:keys) as e;
