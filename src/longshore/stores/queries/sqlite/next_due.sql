-- When the next timed job falls due.
select scheduled_at
from longshore_job indexed by longshore_job_due
where state in ('scheduled', 'retrying')
order by scheduled_at
limit 1;
