-- Remove the records of processes.
delete from longshore_process where id in %(ids)s and expires_at <= %(lease_now)s;
