-- Copy succeeded jobs that all return the same to those that have ended, if they are kept at all.
insert into longshore_ended (
    id, state, queue, kind, kept_until, finalized_at, run, claimed_by, claimed_at, attempted_at,
    failures, interruptions, max_attempts, priority, scheduled_at, created_at, expires_at, timeout,
    keep_result, reason, result_error, tags, identity, rules, result, meta, progress, runs, payload
)
select
    j.id, 'succeeded', j.queue, j.kind, %(now)s + greatest(%(kept)s, j.keep_result), %(now)s, j.run,
    substr(j.line, 2), j.claimed_at, j.attempted_at, j.failures, j.interruptions, j.max_attempts,
    j.priority, j.scheduled_at, j.created_at, j.expires_at, j.timeout, j.keep_result, null, null,
    j.tags, j.identity, j.rules, %(result)s, j.meta, j.progress, j.runs, j.payload
from longshore_job as j
where j.id in %(ids)s
-- Either may be null, for ever; then so is the longer.
  and not (greatest(%(kept)s, j.keep_result) <=> 0);
