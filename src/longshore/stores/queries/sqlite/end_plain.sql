-- Copy succeeded jobs that all return the same to those that have ended, if they are kept at all.
insert into longshore_ended (
    id, state, queue, kind, kept_until, finalized_at, run, claimed_by, claimed_at, attempted_at,
    failures, interruptions, max_attempts, priority, scheduled_at, created_at, expires_at, timeout,
    keep_result, identity, reason, result_error, rules, tags, result, meta, progress, runs, payload
)
select
    j.id, 'succeeded', j.queue, j.kind, :now + max(:kept, j.keep_result), :now, j.run, j.claimed_by,
    j.claimed_at, j.attempted_at, j.failures, j.interruptions, j.max_attempts, j.priority,
    j.scheduled_at, j.created_at, j.expires_at, j.timeout, j.keep_result, j.identity, null, null,
    j.rules, j.tags,
    :result, j.meta, j.progress, j.runs, j.payload
from json_each(:ids) as e cross join longshore_job as j on j.id = e.value
-- Either may be null, for ever; then so is the longer.
where max(:kept, j.keep_result) is not 0;
