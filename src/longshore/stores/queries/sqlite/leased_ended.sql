-- The last run of these jobs, if they have ended.
select j.id, j.claimed_by, j.run
from json_each(:ids) as e cross join longshore_ended as j on j.id = e.value;
