-- Renew the lease of one process.
update longshore_process set expires_at = ?2, seen_at = ?3 where id = ?1;
