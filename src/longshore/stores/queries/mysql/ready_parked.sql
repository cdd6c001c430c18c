-- Parked jobs of these kinds that no process with the same list of kinds has put aside.
select id, run + 1, kind, queue, payload, priority, failures, interruptions, max_attempts,
       scheduled_at, created_at, %(now)s, timeout, keep_result, budgets, tags, meta, rules
from longshore_job
where line = '#parked'
  and kind in %(kinds)s
  and not (parked_by <=> %(kinds_digest)s)
  and queue not in (
      select name from longshore_queue where paused_until is null or paused_until > %(now)s
  )
  and kind not in (
      select kind from longshore_kind where paused_until is null or paused_until > %(now)s
  )
order by line, place, scheduled_at, id
limit %(limit)s
for update skip locked;
