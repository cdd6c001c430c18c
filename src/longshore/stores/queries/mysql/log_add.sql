-- Add lines to the logs of running jobs; one that is there stays.
insert ignore into longshore_log (job_id, number, at, level, message) values (%s, %s, %s, %s, %s);
