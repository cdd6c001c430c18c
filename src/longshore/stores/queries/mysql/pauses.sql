-- Queues that are held back now, and why.
select name, reason, paused_until from longshore_queue
where paused_until is null or paused_until > %(now)s;
