-- Store jobs.
insert into longshore_job (
    id, state, queue, priority, scheduled_at, max_attempts, created_at, keep_result, kind, payload,
    expires_at, timeout, tags, meta, identity, fair_key, rules, line, place
) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s);
