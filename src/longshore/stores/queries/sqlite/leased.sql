-- What a report on runs of these jobs has to know; a run of the past is told by its number.
select j.id, j.state, j.claimed_by, j.run, j.queue, j.kind, j.cancel_requested, j.keep_result,
       j.reason, j.runs, j.rules
from json_each(:ids) as e cross join longshore_job as j on j.id = e.value;
