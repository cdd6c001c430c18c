-- Make a process the one that prunes, for a time, unless another is.
insert into longshore_leader as l (one, process_id, expires_at)
values (1, %(process_id)s, %(expires_at)s)
on conflict (one) do update
set process_id = excluded.process_id, expires_at = excluded.expires_at
where l.expires_at <= %(lease_now)s or l.process_id = excluded.process_id;
