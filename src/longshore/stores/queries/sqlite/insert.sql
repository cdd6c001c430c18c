-- Store one job; an id that is there is left alone, and noticed by the number of rows written.
insert into longshore_job (
    id, state, queue, priority, scheduled_at, max_attempts, created_at, keep_result, kind, payload,
    expires_at, timeout, tags, meta
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
on conflict do nothing;
