-- The first ten by id of the jobs that use each of these limits.
select convert(s.limit_key using utf8mb4), s.job_id, j.rules
from (
    select limit_key, job_id, row_number() over (partition by limit_key order by job_id) as place
    from longshore_slot
    where limit_key in %(keys)s
) as s straight_join longshore_job as j on j.id = s.job_id
where s.place <= 10
order by s.limit_key, s.job_id;
