-- Remove the records of processes.
delete from longshore_process where id = any(%(ids)s::text[]);
