-- Parked jobs of these kinds that no process with the same list of kinds has put aside.
select id::text, run + 1, kind, queue, payload, priority, failures, interruptions, max_attempts,
       scheduled_at, created_at, %(now)s::bigint, timeout, keep_result, budgets, tags, meta, rules
from longshore_job as j
where parked is not null and kind = any(%(kinds)s::text[])
  and parked_by is distinct from %(kinds_digest)s
  and not exists (
      select from longshore_queue as q
      where q.name = j.queue and (q.paused_until is null or q.paused_until > %(now)s)
  )
  and not exists (
      select from longshore_kind as k
      where k.kind = j.kind and (k.paused_until is null or k.paused_until > %(now)s)
  )
order by priority, scheduled_at, id
limit %(limit)s
for update skip locked;
