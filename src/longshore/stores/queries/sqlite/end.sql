-- Copy one job to those that have ended, with what its last run has to tell.
insert into longshore_ended (
    id, state, queue, kind, kept_until, finalized_at, run, claimed_by, claimed_at, attempted_at,
    failures, interruptions, max_attempts, priority, scheduled_at, created_at, expires_at, timeout,
    keep_result, identity, reason, result_error, rules, tags, result, meta, progress, runs, payload
)
select
    id, ?2, queue, kind, ?3, ?4, run, claimed_by, claimed_at, attempted_at,
    failures + ?5, interruptions + ?10, max_attempts, priority, scheduled_at, created_at, expires_at,
    timeout, keep_result, identity, ?6, ?7, rules, tags, ?8, meta, progress, coalesce(?9, runs),
    payload
from longshore_job where id = ?1;
