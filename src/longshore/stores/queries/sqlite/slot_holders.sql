-- The first ten jobs that run under each of these keys, and their rules.
select s.limit_key, j.id, j.rules
from json_each(:keys) as e
cross join longshore_slot as s on s.limit_key = e.value and s.job_id in (
    select job_id from longshore_slot where limit_key = e.value order by job_id limit 10
)
cross join longshore_job as j on j.id = s.job_id;
