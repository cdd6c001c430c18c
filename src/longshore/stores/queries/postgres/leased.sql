-- What a report on runs of these jobs has to know; a run of the past is told by its number.
select j.id::text, j.state, j.claimed_by, j.run, j.queue, j.kind, j.cancel_requested,
       j.keep_result, j.reason, j.runs, j.rules
from longshore_job as j
where j.id = any(%(ids)s::uuid[])
order by j.id
for update;
