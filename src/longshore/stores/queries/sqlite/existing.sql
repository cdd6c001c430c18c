-- Kind and payload of those ids that are there, live or ended.
select j.id, j.kind, j.payload
from json_each(:ids) as e cross join longshore_job as j on j.id = e.value
union all
select j.id, j.kind, j.payload
from json_each(:ids) as e cross join longshore_ended as j on j.id = e.value;
