-- Timed jobs that are due, the longest due first; none falls due before the one given.
select id, fair_key is not null
from longshore_job
where line = '#due' and place = 0 and scheduled_at >= %(first)s and scheduled_at <= %(now)s
order by scheduled_at, id
limit %(limit)s
for update skip locked;
