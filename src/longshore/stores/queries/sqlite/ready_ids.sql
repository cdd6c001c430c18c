-- These available jobs.
select j.id, j.run + 1, j.kind, j.queue, j.payload, j.priority, j.failures, j.interruptions,
       j.max_attempts, j.scheduled_at, j.created_at, :now, j.timeout, j.keep_result, j.budgets,
       j.tags, j.meta, j.rules
from json_each(:ids) as e cross join longshore_job as j on j.id = e.value;
