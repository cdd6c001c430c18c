-- These jobs as people read them: live ones, then those that have ended.
select id, kind, queue, state, payload, priority, run, failures, interruptions,
       max_attempts, scheduled_at, created_at, nullif(attempted_at, 0), nullif(claimed_at, 0), null,
       expires_at, timeout, keep_result, if(state = 'running', substr(line, 2), claimed_by),
       cancel_requested, parked, reason,
       null, null, progress, tags, meta, runs, identity, rules, blocked_by
from longshore_job where id in %(ids)s
union all
select id, kind, queue, state, payload, priority, run, failures, interruptions,
       max_attempts, scheduled_at, created_at, attempted_at, claimed_at, finalized_at,
       expires_at, timeout, keep_result, claimed_by, 0, null, reason,
       result, result_error, progress, tags, meta, runs, identity, rules, null
from longshore_ended where id in %(ids)s;
