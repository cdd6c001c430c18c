-- Whether a process has a lease now.
select 1 from longshore_process
where id = :id and boot_id = :boot_id and expires_at > :boot_now;
