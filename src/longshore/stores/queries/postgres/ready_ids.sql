-- These ready jobs, in the order of a claim; those that others look at are left to them.
select id::text, run + 1, kind, queue, payload, priority, failures, interruptions, max_attempts,
       scheduled_at, created_at, %(now)s::bigint, timeout, keep_result, budgets, tags, meta, rules
from longshore_job
where id = any(%(ids)s::uuid[])
  and state = 'available' and parked is null and blocked_by is null
order by priority, scheduled_at, id
for update skip locked;
