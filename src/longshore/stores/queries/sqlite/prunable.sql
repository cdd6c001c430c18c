-- Ended jobs past their retention, the oldest first.
select rowid, queue, kind, state
from longshore_ended indexed by longshore_ended_kept
where kept_until is not null and kept_until <= :now
order by kept_until
limit :limit;
