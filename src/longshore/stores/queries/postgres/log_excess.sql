-- The latest line of each of these logs that is one too many.
select e.job_id::text, (
    select number from longshore_log as l where l.job_id = e.job_id
    order by number desc limit 1 offset %(lines)s
)
from unnest(%(ids)s::uuid[]) as e (job_id);
