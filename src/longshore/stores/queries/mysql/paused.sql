-- Queues that are held back now.
select name from longshore_queue where paused_until is null or paused_until > %(now)s;
