-- What these running jobs have left so far: of which job of that id, if of any.
select j.id, j.created_at, n.born
from longshore_job as j left join longshore_noted as n on n.job_id = j.id
where j.id in %(ids)s;
