-- The jobs that hold these keys.
select j.unique_key, j.id, j.state, j.held_until
from json_each(:keys) as e cross join longshore_job as j indexed by longshore_job_unique
    on j.unique_key = e.value;
