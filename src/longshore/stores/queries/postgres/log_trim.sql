-- Delete the lines of logs up to a number.
delete from longshore_log as l
using unnest(%(c0)s::uuid[], %(c1)s::bigint[]) as e (job_id, number)
where l.job_id = e.job_id and l.number <= e.number;
