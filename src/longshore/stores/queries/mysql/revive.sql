-- Let ended jobs live again: counters at nothing, history and run number kept.
insert into longshore_job (
    id, state, queue, priority, scheduled_at, run, claimed_by, claimed_at, attempted_at,
    max_attempts, created_at, expires_at, timeout, keep_result, kind, tags, meta, progress, runs,
    identity, fair_key, rules, payload, line, place
)
select
    id, 'available', queue, priority, %(now)s, run, claimed_by, coalesce(claimed_at, 0),
    coalesce(attempted_at, 0), max_attempts, created_at,
    if(expires_at <= %(now)s, null, expires_at), timeout, keep_result, kind, tags, meta, progress,
    runs, identity, null, rules, payload, queue, priority
from longshore_ended where id in %(ids)s;
