-- What these running jobs have left so far: of which job of that id, if of any.
select j.id, j.created_at, n.born
from json_each(:ids) as e cross join longshore_job as j on j.id = e.value
left join longshore_noted as n on n.job_id = j.id;
