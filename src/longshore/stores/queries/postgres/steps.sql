-- The steps of these jobs, as long as the jobs are there.
select s.job_id::text, s.name, s.value, s.saved_at, s.run, s.is_cursor
from longshore_noted as n join longshore_step as s on s.job_id = n.job_id
where n.job_id = any(%(ids)s::uuid[]) and (
    exists (select 1 from longshore_job as j where j.id = n.job_id and j.created_at = n.born)
    or exists (
        select 1 from longshore_ended as e
        where e.id = n.job_id and e.created_at = n.born
          and (
              e.day is null
              or e.day = ('x' || translate(left(n.job_id::text, 13), '-', ''))::bit(48)::bigint / 86400000
          )
    )
);
