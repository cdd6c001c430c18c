-- Who waits for these jobs.
select child_id::text from longshore_edge where parent_id = any(%(ids)s::uuid[]);
