-- Ended jobs past their retention, the oldest first.
select id, queue, kind, state
from longshore_ended
where kept_until <= %(now)s
order by kept_until
limit %(limit)s
for update skip locked;
