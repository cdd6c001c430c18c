-- Jobs, live and ended, the newest created first, as people read them.
(
    select id, kind, queue, state, payload, priority, run, failures, interruptions,
           max_attempts, scheduled_at, created_at, nullif(attempted_at, 0), nullif(claimed_at, 0), null,
           expires_at, timeout, keep_result, if(state = 'running', substr(line, 2), claimed_by),
           cancel_requested, parked, reason,
           null, null, progress, tags, meta, runs, identity, rules, blocked_by
    from longshore_job
    where id < %(cursor)s
    order by id desc
    limit %(limit)s
)
union all
(
    select id, kind, queue, state, payload, priority, run, failures, interruptions,
           max_attempts, scheduled_at, created_at, attempted_at, claimed_at, finalized_at,
           expires_at, timeout, keep_result, claimed_by, 0, null, reason,
           result, result_error, progress, tags, meta, runs, identity, rules, null
    from longshore_ended
    where id < %(cursor)s
    order by id desc
    limit %(limit)s
)
order by id desc
limit %(limit)s;
