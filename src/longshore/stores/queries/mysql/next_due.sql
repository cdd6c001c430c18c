-- When the next timed job falls due.
select scheduled_at from longshore_job
where line = '#due' and place = 0
order by line, place, scheduled_at
limit 1;
