-- Let ended jobs that have rules live again, unless the keys that they take again are held.
insert into longshore_job (
    id, state, queue, priority, scheduled_at, run, claimed_by, claimed_at, attempted_at,
    max_attempts, created_at, expires_at, timeout, keep_result, kind, tags, meta, progress, runs,
    identity, rules, unique_key, held_until, fair_key, payload
)
select
    j.id, 'available', j.queue, j.priority, e.now, j.run, j.claimed_by, j.claimed_at,
    j.attempted_at, j.max_attempts, j.created_at,
    case when j.expires_at > e.now then j.expires_at end, j.timeout, j.keep_result, j.kind,
    j.tags, j.meta, j.progress, j.runs, j.identity, j.rules, e.unique_key,
    e.held_until, e.fair_key, j.payload
from unnest(
    %(c0)s::uuid[], %(c1)s::bigint[], %(c2)s::text[], %(c3)s::bigint[], %(c4)s::text[]
) as e (id, now, unique_key, held_until, fair_key) join longshore_ended as j
    on j.id = e.id
    and (
        j.day is null
        or j.day = ('x' || translate(left(e.id::text, 13), '-', ''))::bit(48)::bigint / 86400000
    )
on conflict do nothing;
