-- Parked jobs of these kinds that no process with the same list of kinds has put aside.
select id, kind, queue, payload, concat('[', concat_ws(
    ',', run + 1, priority, failures, interruptions, max_attempts, scheduled_at, created_at, %(now)s,
    coalesce(timeout, 'null'), coalesce(keep_result, 'null')
), ']'), budgets, tags, meta
from longshore_job
where line = '#parked'
  and kind in %(kinds)s
  and not (parked_by <=> %(kinds_digest)s)
  and queue not in (
      select name from longshore_queue where paused_until is null or paused_until > %(now)s
  )
order by line, place, scheduled_at, id
limit %(limit)s
for update skip locked;
