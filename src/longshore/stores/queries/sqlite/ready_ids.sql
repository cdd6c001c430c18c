-- These available jobs, in the order of a claim.
select id, run + 1, kind, queue, payload, priority, failures, interruptions, max_attempts,
       scheduled_at, created_at, :now, timeout, keep_result, budgets, tags, meta, rules
from longshore_job
where id in (select value from json_each(:ids))
order by priority, scheduled_at, id;
