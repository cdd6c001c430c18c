-- These jobs that wait or run, as people read them.
select j.id, j.kind, j.queue, j.state, j.payload, j.priority, j.run, j.failures, j.interruptions,
       j.max_attempts, j.scheduled_at, j.created_at, j.attempted_at, j.claimed_at, null,
       j.expires_at, j.timeout, j.keep_result, j.claimed_by, j.cancel_requested, j.parked, j.reason,
       null, null, j.progress, j.tags, j.meta, j.runs,
       j.identity, j.rules, j.blocked_by
from json_each(:ids) as e cross join longshore_job as j on j.id = e.value;
