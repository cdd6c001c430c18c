-- Some of the jobs that have left something, and whether they are there.
select n.job_id,
       exists (select 1 from longshore_job as j where j.id = n.job_id and j.created_at = n.born)
       or exists (
           select 1 from longshore_ended as e where e.id = n.job_id and e.created_at = n.born
       )
from longshore_noted as n
where n.job_id > :after
order by n.job_id
limit :limit;
