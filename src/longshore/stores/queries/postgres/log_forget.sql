-- Delete the logs of these jobs.
delete from longshore_log where job_id = any(%(ids)s::uuid[]);
