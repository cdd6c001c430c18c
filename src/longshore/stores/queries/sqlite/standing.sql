-- What a person's order has to know of live jobs.
select j.id, j.state, j.queue, j.kind, j.keep_result, j.runs, j.rules,
       j.state = 'available' and j.parked is null and j.blocked_by is null
from json_each(:ids) as e cross join longshore_job as j on j.id = e.value;
