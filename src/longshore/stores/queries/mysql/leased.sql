-- What a report on runs of these jobs has to know; a run of the past is told by its number.
select id, state, if(state = 'running', substr(line, 2), claimed_by), run, queue, kind,
       cancel_requested, keep_result, reason, runs, rules
from longshore_job
where id in %(ids)s
order by id
for update;
