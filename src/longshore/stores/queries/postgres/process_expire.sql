-- End the lease of a process that is known to be dead, while it still has jobs to give back.
update longshore_process set expires_at = 0 where id = %(id)s;
