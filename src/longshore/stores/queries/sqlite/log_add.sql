-- Add lines to the logs of running jobs; one that is there stays.
insert into longshore_log (job_id, number, at, level, message)
values (?1, ?2, ?3, ?4, ?5)
on conflict do nothing;
