-- How many processes have a lease.
select count(*) from longshore_process where expires_at > %(lease_now)s;
