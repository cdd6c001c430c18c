-- Let jobs wait for others again.
update longshore_job set state = 'waiting' where id = any(%(ids)s::uuid[]);
