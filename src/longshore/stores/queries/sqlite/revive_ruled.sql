-- Let one ended job with rules live again, unless its key is held by another.
insert into longshore_job (
    id, state, queue, priority, scheduled_at, run, claimed_by, claimed_at, attempted_at,
    max_attempts, created_at, expires_at, timeout, keep_result, kind, identity, unique_key,
    held_until, fair_key, rules, tags, meta, progress, runs, payload
)
select
    j.id, 'available', j.queue, j.priority, ?2, j.run, j.claimed_by, j.claimed_at, j.attempted_at,
    j.max_attempts, j.created_at, iif(j.expires_at <= ?2, null, j.expires_at), j.timeout,
    j.keep_result, j.kind, j.identity, ?3, ?4, ?5, j.rules, j.tags, j.meta, j.progress, j.runs,
    j.payload
from longshore_ended as j where j.id = ?1
on conflict do nothing;
