-- How many of these jobs one process runs with this run number: what a report of success has to
-- know where all are alike. That somebody wants one to end comes too late. And their rules, which
-- are JSON, a line each.
select j.queue, j.kind, j.keep_result, count(*), group_concat(j.rules, char(10))
from json_each(:ids) as e cross join longshore_job as j on j.id = e.value
where j.state = 'running' and j.claimed_by = :process_id and j.run = :run
group by j.queue, j.kind, j.keep_result;
