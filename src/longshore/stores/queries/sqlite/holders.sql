-- The jobs that hold these keys, and until when: one that was never started, until it expires.
select j.unique_key, j.id, j.state, case
    when j.attempted_at is null and j.expires_at < ifnull(j.held_until, j.expires_at + 1)
    then j.expires_at else j.held_until end
from json_each(:keys) as e cross join longshore_job as j indexed by longshore_job_unique
    on j.unique_key = e.value;
