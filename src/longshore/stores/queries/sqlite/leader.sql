-- Who prunes, while its time lasts.
select process_id from longshore_leader
where one = 1 and boot_id = :boot_id and expires_at > :boot_now;
