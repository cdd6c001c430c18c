-- The latest line of each of these logs that is one too many.
select n.job_id, (
    select number from longshore_log as l where l.job_id = n.job_id
    order by number desc limit 1 offset %(lines)s
)
from longshore_noted as n where n.job_id in %(ids)s;
