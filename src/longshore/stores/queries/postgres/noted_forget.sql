-- Forget that these jobs have left anything.
delete from longshore_noted where job_id = any(%(ids)s::uuid[]);
