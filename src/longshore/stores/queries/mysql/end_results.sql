-- Copy succeeded jobs, each with its result, to those that have ended, if they are kept at all.
-- A result is JSON text in the request and the same bytes in the row.
insert into longshore_ended (
    id, state, queue, kind, kept_until, finalized_at, run, claimed_by, claimed_at, attempted_at,
    failures, interruptions, max_attempts, priority, scheduled_at, created_at, expires_at, timeout,
    keep_result, reason, result_error, tags, identity, rules, result, meta, progress, runs, payload
)
select
    j.id, 'succeeded', j.queue, j.kind, %(now)s + greatest(%(kept)s, j.keep_result), %(now)s, j.run,
    substr(j.line, 2), j.claimed_at, j.attempted_at, j.failures, j.interruptions, j.max_attempts,
    j.priority, j.scheduled_at, j.created_at, j.expires_at, j.timeout, j.keep_result, null, null,
    j.tags, j.identity, j.rules, v.result, j.meta, j.progress, j.runs, j.payload
from json_table(%(rows)s, '$[*]' columns (
    id varchar(36) character set ascii path '$[0]',
    result longtext character set utf8mb4 path '$[1]'
)) as v straight_join longshore_job as j on j.id = v.id
-- Either may be null, for ever; then so is the longer.
where not (greatest(%(kept)s, j.keep_result) <=> 0);
