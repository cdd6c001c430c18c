-- Who waits for these jobs.
select j.child_id
from json_each(:ids) as e cross join longshore_edge as j on j.parent_id = e.value;
