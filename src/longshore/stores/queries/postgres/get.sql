-- These jobs, live and ended, as people read them.
select j.id::text, j.kind, j.queue, j.state, j.payload, j.priority, j.run, j.failures,
       j.interruptions, j.max_attempts, j.scheduled_at, j.created_at, j.attempted_at, j.claimed_at,
       null::bigint, j.expires_at, j.timeout, j.keep_result, j.claimed_by, j.cancel_requested,
       j.parked, j.reason, null, null, j.progress, j.tags, j.meta, j.runs,
       j.identity, j.rules, j.blocked_by
from longshore_job as j
where j.id = any(%(ids)s::uuid[])
union all
select j.id::text, j.kind, j.queue, j.state, j.payload, j.priority, j.run, j.failures,
       j.interruptions, j.max_attempts, j.scheduled_at, j.created_at, j.attempted_at, j.claimed_at,
       j.finalized_at, j.expires_at, j.timeout, j.keep_result, j.claimed_by, false,
       null, j.reason, j.result, j.result_error, j.progress, j.tags, j.meta, j.runs,
       j.identity, j.rules, null
from unnest(%(ids)s::uuid[]) as e (id), lateral (
    select * from longshore_ended as j
    where j.id = e.id
      and (
          j.day is null
          or j.day = ('x' || translate(left(e.id::text, 13), '-', ''))::bit(48)::bigint / 86400000
      )
    -- Each id by itself: joined in any other way, the planner may read the days that it leaves out.
    offset 0
) as j;
