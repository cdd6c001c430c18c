-- Every registered process, and how many jobs it runs.
select p.id, p.app, p.name, p.host, p.pid, p.queues, p.kinds, p.slots, p.embedded, p.started_at,
       p.seen_at, p.boot_id, p.expires_at, (
           select count(*) from longshore_job indexed by longshore_job_running
           where state = 'running' and claimed_by = p.id
       )
from longshore_process as p
order by p.id;
