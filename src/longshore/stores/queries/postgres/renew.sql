-- Renew the leases of processes.
update longshore_process as p set expires_at = e.until, seen_at = e.now
from unnest(%(c0)s::text[], %(c1)s::bigint[], %(c2)s::bigint[]) as e (id, until, now)
where p.id = e.id;
