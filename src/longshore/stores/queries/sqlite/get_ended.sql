-- These jobs that have ended, as people read them.
select j.id, j.kind, j.queue, j.state, j.payload, j.priority, j.run, j.failures, j.interruptions,
       j.max_attempts, j.scheduled_at, j.created_at, j.attempted_at, j.claimed_at, j.finalized_at,
       j.expires_at, j.timeout, j.keep_result, j.claimed_by, 0, null, j.reason,
       j.result, j.result_error, j.progress, j.tags, j.meta, j.runs,
       j.identity, j.rules, null
from json_each(:ids) as e cross join longshore_ended as j on j.id = e.value;
