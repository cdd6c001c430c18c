-- Let ended jobs live again: counters at nothing, history and run number kept.
insert into longshore_job (
    id, state, queue, priority, scheduled_at, run, claimed_by, claimed_at, attempted_at,
    max_attempts, created_at, expires_at, timeout, keep_result, kind, tags, meta, progress, runs,
    identity, rules, payload
)
select
    j.id, 'available', j.queue, j.priority, %(now)s, j.run, j.claimed_by, j.claimed_at,
    j.attempted_at, j.max_attempts, j.created_at,
    case when j.expires_at > %(now)s then j.expires_at end, j.timeout, j.keep_result, j.kind,
    j.tags, j.meta, j.progress, j.runs, j.identity, j.rules, j.payload
from unnest(%(ids)s::uuid[]) as e (id) join longshore_ended as j
    on j.id = e.id
    and (
        j.day is null
        or j.day = ('x' || translate(left(e.id::text, 13), '-', ''))::bit(48)::bigint / 86400000
    );
