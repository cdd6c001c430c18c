-- Make a process the one that prunes, for a time, unless another one is.
-- The columns are set in this order: the second looks at what the first has become.
insert into longshore_leader (one, process_id, expires_at)
values (1, %(process_id)s, %(expires_at)s)
on duplicate key update
    process_id = if(expires_at > %(lease_now)s, process_id, values(process_id)),
    expires_at = if(process_id = values(process_id), values(expires_at), expires_at);
