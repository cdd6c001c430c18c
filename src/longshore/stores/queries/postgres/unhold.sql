-- Let go of the unique keys of these jobs.
update longshore_job set unique_key = null, held_until = null where id = any(%(ids)s::uuid[]);
