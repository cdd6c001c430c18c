-- Those of these jobs that one process runs and that nobody has asked to end: what a report of
-- success has to know.
select j.id, j.run, j.queue, j.kind, j.keep_result
from json_each(:ids) as e cross join longshore_job as j on j.id = e.value
where j.state = 'running' and j.claimed_by = :process_id
  and j.cancel_requested = 0;
