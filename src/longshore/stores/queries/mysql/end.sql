-- Copy jobs to those that have ended, each with what its last run has to tell.
insert into longshore_ended (
    id, state, queue, kind, kept_until, finalized_at, run, claimed_by, claimed_at, attempted_at,
    failures, interruptions, max_attempts, priority, scheduled_at, created_at, expires_at, timeout,
    keep_result, reason, result_error, tags, identity, rules, result, meta, progress, runs, payload
)
select
    j.id, v.state, j.queue, j.kind, v.kept_until, v.finalized_at, j.run,
    if(j.state = 'running', substr(j.line, 2), j.claimed_by), nullif(j.claimed_at, 0),
    nullif(j.attempted_at, 0), j.failures + v.failed, j.interruptions + coalesce(v.interrupted, 0),
    j.max_attempts, j.priority, j.scheduled_at, j.created_at, j.expires_at, j.timeout,
    j.keep_result, v.reason, v.result_error, j.tags, j.identity, j.rules, v.result,
    j.meta, j.progress, coalesce(v.runs, j.runs), j.payload
from json_table(%(rows)s, '$[*]' columns (
    id varchar(36) character set ascii path '$[0]',
    state varchar(20) character set ascii path '$[1]',
    kept_until bigint path '$[2]',
    finalized_at bigint path '$[3]',
    failed int path '$[4]',
    reason longtext character set utf8mb4 path '$[5]',
    result_error longtext character set utf8mb4 path '$[6]',
    result longtext character set utf8mb4 path '$[7]',
    runs longtext character set utf8mb4 path '$[8]',
    interrupted int path '$[9]'
)) as v straight_join longshore_job as j on j.id = v.id;
