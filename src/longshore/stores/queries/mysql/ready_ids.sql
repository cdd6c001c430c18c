-- These jobs, held already, as a claim that walks gives them out.
select id, run + 1, kind, queue, payload, priority, failures, interruptions, max_attempts,
       scheduled_at, created_at, %(now)s, timeout, keep_result, budgets, tags, meta, rules
from longshore_job
where id in %(ids)s;
