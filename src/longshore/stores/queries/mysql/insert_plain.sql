-- Store jobs that have none of the rarer options.
insert into longshore_job (
    id, state, queue, priority, scheduled_at, max_attempts, created_at, keep_result, kind, payload,
    line, place
) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s);
