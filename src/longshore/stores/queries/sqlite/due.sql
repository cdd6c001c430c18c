-- Timed jobs that are due, the longest due first.
select id, queue, kind, state
from longshore_job indexed by longshore_job_due
where state in ('scheduled', 'retrying') and scheduled_at <= :now
order by scheduled_at
limit :limit;
