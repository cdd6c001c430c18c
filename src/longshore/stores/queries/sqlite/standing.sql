-- What a person's order has to know of live jobs.
select j.id, j.state, j.queue, j.kind, j.keep_result, j.runs
from json_each(:ids) as e cross join longshore_job as j on j.id = e.value;
