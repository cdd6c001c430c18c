-- Let jobs go on that have waited for others; one that has a time of its own waits for that.
update longshore_job
set state = if(scheduled_at > %(now)s, 'scheduled', 'available'),
    place = if(scheduled_at > %(now)s, 0, priority),
    line = case
        when scheduled_at > %(now)s then '#due'
        when fair_key is null then queue
        else convert(concat(
            '+', left(sha2(queue, 256), 32), left(sha2(fair_key, 256), 31)
        ) using ascii)
    end,
    scheduled_at = greatest(scheduled_at, %(now)s)
where id in %(ids)s and state = 'waiting';
