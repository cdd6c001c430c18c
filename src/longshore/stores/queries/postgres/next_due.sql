-- When the next timed job falls due.
select scheduled_at from longshore_job
where state in ('scheduled', 'retrying')
order by scheduled_at limit 1;
