-- How many processes have a lease.
select count(*) from longshore_process where boot_id = :boot_id and expires_at > :boot_now;
