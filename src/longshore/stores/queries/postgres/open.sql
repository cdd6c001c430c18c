-- Let jobs go on that have waited for others; one that has a time of its own waits for that.
update longshore_job
set state = case when scheduled_at > %(now)s then 'scheduled' else 'available' end,
    scheduled_at = greatest(scheduled_at, %(now)s)
where id = any(%(ids)s::uuid[]) and state = 'waiting';
