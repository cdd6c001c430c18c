-- Jobs that were never started and may not start any more.
select id, state, queue, kind, keep_result, runs, rules,
       state = 'available' and parked is null and blocked_by is null
from longshore_job indexed by longshore_job_expires
where expires_at is not null and attempted_at is null and expires_at <= :now
order by expires_at
limit :limit;
