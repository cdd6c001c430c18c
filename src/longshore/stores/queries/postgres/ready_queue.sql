-- The first jobs of one queue, in the order of a claim; those that others look at are left to them.
select id::text, run + 1, kind, queue, payload, priority, failures, interruptions, max_attempts,
       scheduled_at, created_at, %(now)s::bigint, timeout, keep_result, budgets, tags, meta, rules
from longshore_job
where state = 'available' and parked is null and blocked_by is null and fair_key is null
  and queue = %(queue)s
order by priority, scheduled_at, id
limit %(limit)s
for update skip locked;
