-- Store many jobs, some of which have rules, none of which may be there, nor its key held.
copy longshore_job (
    id, state, queue, priority, scheduled_at, max_attempts, created_at, keep_result, kind, payload,
    expires_at, timeout, tags, meta, identity, unique_key, held_until, fair_key, rules
) from stdin;
