-- Forget counts of queues and kinds that are gone.
delete from longshore_count where jobs = 0;
