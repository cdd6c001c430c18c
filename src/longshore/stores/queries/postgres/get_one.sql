-- One job, live or ended, as people read it. By itself and not as a list of one: a plan for any id
-- is as good as one for this id then, and the server keeps it. The id is a subquery: with its
-- value the server would leave out days when it plans, find that cheaper, and plan each time.
select j.id::text, j.kind, j.queue, j.state, j.payload, j.priority, j.run, j.failures,
       j.interruptions, j.max_attempts, j.scheduled_at, j.created_at, j.attempted_at, j.claimed_at,
       null::bigint, j.expires_at, j.timeout, j.keep_result, j.claimed_by, j.cancel_requested,
       j.parked, j.reason, null, null, j.progress, j.tags, j.meta, j.runs,
       j.identity, j.rules, j.blocked_by
from longshore_job as j
where j.id = (select %(id)s::uuid)
union all
select j.id::text, j.kind, j.queue, j.state, j.payload, j.priority, j.run, j.failures,
       j.interruptions, j.max_attempts, j.scheduled_at, j.created_at, j.attempted_at, j.claimed_at,
       j.finalized_at, j.expires_at, j.timeout, j.keep_result, j.claimed_by, false,
       null, j.reason, j.result, j.result_error, j.progress, j.tags, j.meta, j.runs,
       j.identity, j.rules, null
from longshore_ended as j
where j.id = (select %(id)s::uuid) and j.day is null
union all
select j.id::text, j.kind, j.queue, j.state, j.payload, j.priority, j.run, j.failures,
       j.interruptions, j.max_attempts, j.scheduled_at, j.created_at, j.attempted_at, j.claimed_at,
       j.finalized_at, j.expires_at, j.timeout, j.keep_result, j.claimed_by, false,
       null, j.reason, j.result, j.result_error, j.progress, j.tags, j.meta, j.runs,
       j.identity, j.rules, null
from longshore_ended as j
where j.id = (select %(id)s::uuid) and j.day = (
    select (('x' || translate(left(%(id)s::uuid::text, 13), '-', ''))::bit(48)::bigint / 86400000)
        ::integer
  );
