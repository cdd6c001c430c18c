-- Jobs that were never started and may not start any more.
select id::text, state, queue, kind, keep_result, runs, rules,
       case when state = 'available' and parked is null and blocked_by is null then 1 else 0 end
from longshore_job
where expires_at is not null and attempted_at is null and expires_at <= %(now)s
order by expires_at
limit %(limit)s
for update skip locked;
