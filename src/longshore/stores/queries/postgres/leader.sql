-- Who prunes, while its time lasts.
select process_id from longshore_leader where one = 1 and expires_at > %(lease_now)s;
