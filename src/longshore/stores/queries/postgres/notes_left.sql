-- Some of the jobs that have left something, and whether they are there.
-- Held, so that nobody adds to what is cleared away.
select n.job_id::text,
       exists (select 1 from longshore_job as j where j.id = n.job_id and j.created_at = n.born)
       or exists (
           select 1 from longshore_ended as e
           where e.id = n.job_id and e.created_at = n.born
             and (
              e.day is null
              or e.day = ('x' || translate(left(n.job_id::text, 13), '-', ''))::bit(48)::bigint / 86400000
          )
       )
from longshore_noted as n
where n.job_id > %(after)s::uuid
order by n.job_id
limit %(limit)s
for update of n skip locked;
