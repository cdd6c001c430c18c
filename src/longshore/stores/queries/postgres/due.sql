-- Timed jobs that are due, the longest due first.
select id::text, queue, kind, state
from longshore_job
where state in ('scheduled', 'retrying') and scheduled_at <= %(now)s
order by scheduled_at
limit %(limit)s
for update skip locked;
