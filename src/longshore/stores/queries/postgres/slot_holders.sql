-- The first ten jobs by id that run under each of these keys, with their rules.
select e.key, s.job_id::text, j.rules
from unnest(%(keys)s::text[]) as e (key)
cross join lateral (
    (
        select id as job_id from longshore_job
        where state = 'running' and slot_key = e.key order by id limit 10
    )
    union all
    (select job_id from longshore_slot where limit_key = e.key order by job_id limit 10)
    order by job_id limit 10
) as s
join longshore_job as j on j.id = s.job_id
order by e.key, s.job_id;
