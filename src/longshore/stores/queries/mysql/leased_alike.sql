-- How many of these jobs one process runs with this run number: what a report of success has to
-- know where all are alike. That somebody wants one to end comes too late.
select queue, kind, keep_result, count(*), count(rules)
from longshore_job
where id in %(ids)s and line = concat('~', %(process_id)s) and run = %(run)s
group by queue, kind, keep_result
for update;
