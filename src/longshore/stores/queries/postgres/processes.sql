-- Every registered process, how long its lease still lasts and how many jobs it runs.
select p.id, p.app, p.name, p.host, p.pid, p.queues, p.kinds, p.slots, p.embedded, p.started_at,
       p.seen_at, p.expires_at - %(lease_now)s, (
           select count(*) from longshore_job as j
           where j.state = 'running' and j.claimed_by = p.id
       ), p.version
from longshore_process as p
order by p.id;
