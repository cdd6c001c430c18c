-- Let ended jobs without rules live again: counters at nothing, history and run number kept.
insert into longshore_job (
    id, state, queue, priority, scheduled_at, run, claimed_by, claimed_at, attempted_at,
    max_attempts, created_at, expires_at, timeout, keep_result, kind, identity, tags, meta, progress,
    runs, payload
)
select
    j.id, 'available', j.queue, j.priority, :now, j.run, j.claimed_by, j.claimed_at, j.attempted_at,
    j.max_attempts, j.created_at, iif(j.expires_at <= :now, null, j.expires_at), j.timeout,
    j.keep_result, j.kind, j.identity, j.tags, j.meta, j.progress, j.runs, j.payload
from json_each(:ids) as e cross join longshore_ended as j on j.id = e.value;
