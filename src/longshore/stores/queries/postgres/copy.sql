-- Store many jobs, none of which may be there.
copy longshore_job (
    id, state, queue, priority, scheduled_at, max_attempts, created_at, keep_result, kind, payload,
    expires_at, timeout, tags, meta
) from stdin;
