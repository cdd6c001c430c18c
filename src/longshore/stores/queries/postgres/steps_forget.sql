-- Delete the steps of these jobs.
delete from longshore_step where job_id = any(%(ids)s::uuid[]);
