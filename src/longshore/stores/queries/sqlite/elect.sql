-- Make a process the one that prunes, for a time.
insert into longshore_leader (one, process_id, boot_id, expires_at)
values (1, :process_id, :boot_id, :expires_at)
on conflict (one) do update
set process_id = excluded.process_id, boot_id = excluded.boot_id, expires_at = excluded.expires_at;
