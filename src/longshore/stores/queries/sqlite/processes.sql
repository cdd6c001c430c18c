-- Every registered process, how long its lease still lasts and how many jobs it runs. A lease of an
-- earlier boot has run out, whatever its number says.
select p.id, p.app, p.name, p.host, p.pid, p.queues, p.kinds, p.slots, p.embedded, p.started_at,
       p.seen_at, iif(p.boot_id = :boot_id, p.expires_at - :boot_now, -1), (
           select count(*) from longshore_job indexed by longshore_job_running
           where state = 'running' and claimed_by = p.id
       ), p.version
from longshore_process as p
order by p.id;
