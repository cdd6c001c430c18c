-- Store one job; an id that is there, or a key that is held, is left alone and noticed by the number
-- of rows written.
insert into longshore_job (
    id, state, queue, priority, scheduled_at, max_attempts, created_at, keep_result, kind, payload,
    expires_at, timeout, tags, meta, identity, unique_key, held_until, fair_key, rules
) values (
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19
)
on conflict do nothing;
