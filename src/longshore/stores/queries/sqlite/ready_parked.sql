-- Parked jobs of these kinds that no process with the same list of kinds has put aside.
select id, run + 1, kind, queue, payload, priority, failures, interruptions, max_attempts,
       scheduled_at, created_at, :now, timeout, keep_result, budgets, tags, meta, rules
from longshore_job indexed by longshore_job_parked
where parked is not null
  and kind in (select value from json_each(:kinds))
  and parked_by is not :kinds_digest
  and queue not in (
      select name from longshore_queue where paused_until is null or paused_until > :now
  )
  and kind not in (
      select kind from longshore_kind where paused_until is null or paused_until > :now
  )
order by priority, scheduled_at, id
limit :limit;
