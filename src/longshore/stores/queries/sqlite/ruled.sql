-- The rules of those of these jobs that have some.
select j.id, j.rules
from json_each(:ids) as e cross join longshore_job as j on j.id = e.value
where j.rules is not null;
