-- Lines of the log of a job behind a number, as long as the job is there.
select l.number, l.at, l.level, l.message
from longshore_noted as n join longshore_log as l on l.job_id = n.job_id
where n.job_id = (%(ids)s::uuid[])[1] and l.number > %(after)s and (
    exists (select 1 from longshore_job as j where j.id = n.job_id and j.created_at = n.born)
    or exists (
        select 1 from longshore_ended as e
        where e.id = n.job_id and e.created_at = n.born
          and (
              e.day is null
              or e.day = ('x' || translate(left(n.job_id::text, 13), '-', ''))::bit(48)::bigint / 86400000
          )
    )
)
order by l.number
limit %(limit)s;
