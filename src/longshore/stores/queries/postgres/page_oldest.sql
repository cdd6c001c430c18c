-- Jobs, live and ended, the oldest created first, as people read them.
(
    select j.id::text, j.kind, j.queue, j.state, j.payload, j.priority, j.run, j.failures,
           j.interruptions, j.max_attempts, j.scheduled_at, j.created_at, j.attempted_at, j.claimed_at,
           null::bigint, j.expires_at, j.timeout, j.keep_result, j.claimed_by, j.cancel_requested,
           j.parked, j.reason, null, null, j.progress, j.tags, j.meta, j.runs,
           j.identity, j.rules, j.blocked_by
    from longshore_job as j
    where j.id > %(cursor)s::uuid
    order by j.id
    limit %(limit)s
)
union all
(
    select j.id::text, j.kind, j.queue, j.state, j.payload, j.priority, j.run, j.failures,
           j.interruptions, j.max_attempts, j.scheduled_at, j.created_at, j.attempted_at, j.claimed_at,
           j.finalized_at, j.expires_at, j.timeout, j.keep_result, j.claimed_by, false,
           null, j.reason, j.result, j.result_error, j.progress, j.tags, j.meta, j.runs,
           j.identity, j.rules, null
    from longshore_ended as j
    where j.id > %(cursor)s::uuid
    order by j.id
    limit %(limit)s
)
order by id
limit %(limit)s;
