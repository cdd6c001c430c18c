-- Let jobs go on that have waited for others; one that has a time of its own waits for that.
update longshore_job
set state = iif(scheduled_at > :now, 'scheduled', 'available'),
    scheduled_at = max(scheduled_at, :now)
where id in (select value from json_each(:ids)) and state = 'waiting';
