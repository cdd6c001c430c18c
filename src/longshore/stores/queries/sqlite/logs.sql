-- Lines of the log of a job behind a number, as long as the job is there.
select l.number, l.at, l.level, l.message
from longshore_noted as n cross join longshore_log as l on l.job_id = n.job_id
where n.job_id = (select e.value from json_each(:ids) as e) and l.number > :after and (
    exists (select 1 from longshore_job as j where j.id = n.job_id and j.created_at = n.born)
    or exists (
        select 1 from longshore_ended as o where o.id = n.job_id and o.created_at = n.born
    )
)
order by l.number
limit :limit;
