-- Lines of the log of a job behind a number, as long as the job is there.
select l.number, l.at, l.level, l.message
from json_each(:ids) as i cross join longshore_noted as n on n.job_id = i.value
cross join longshore_log as l on l.job_id = n.job_id
where l.number > :after and (
    exists (select 1 from longshore_job as j where j.id = n.job_id and j.created_at = n.born)
    or exists (
        select 1 from longshore_ended as e where e.id = n.job_id and e.created_at = n.born
    )
)
order by l.number
limit :limit;
