-- Copy jobs to those that have ended, with what their last runs have to tell, and count them.
with kept as (
    insert into longshore_ended (
        id, state, queue, kind, kept_until, finalized_at, run, claimed_by, claimed_at, attempted_at,
        failures, interruptions, max_attempts, priority, scheduled_at, created_at, expires_at,
        timeout, keep_result, reason, result_error, tags, result, meta, progress, runs, identity,
        rules, payload
    )
    select
        j.id, e.state, j.queue, j.kind, e.until, e.now, j.run, j.claimed_by, j.claimed_at,
        j.attempted_at, j.failures + e.failed, j.interruptions + e.interrupted, j.max_attempts, j.priority,
        j.scheduled_at, j.created_at, j.expires_at, j.timeout, j.keep_result, e.reason, e.error,
        j.tags, e.result, j.meta, j.progress, coalesce(e.runs, j.runs), j.identity,
        j.rules, j.payload
    from unnest(
        %(c0)s::uuid[], %(c1)s::text[], %(c2)s::bigint[], %(c3)s::bigint[], %(c4)s::integer[],
        %(c5)s::text[], %(c6)s::text[], %(c7)s::text[], %(c8)s::text[], %(c9)s::integer[]
    ) as e (id, state, until, now, failed, reason, error, result, runs, interrupted)
    join longshore_job as j on j.id = e.id
    returning queue, kind, state
)
insert into longshore_count (jobs, queue, kind, state)
select count(*), queue, kind, state from kept group by queue, kind, state;
