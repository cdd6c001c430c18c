-- The steps of these jobs, as long as the jobs are there.
select s.job_id, s.name, s.value, s.saved_at, s.run, s.is_cursor
from json_each(:ids) as e cross join longshore_noted as n on n.job_id = e.value
cross join longshore_step as s on s.job_id = n.job_id
where (
    exists (select 1 from longshore_job as j where j.id = n.job_id and j.created_at = n.born)
    or exists (
        select 1 from longshore_ended as o where o.id = n.job_id and o.created_at = n.born
    )
);
