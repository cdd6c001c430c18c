-- How many jobs of each queue, kind and state are identified so.
select j.queue, j.kind, convert(j.state using utf8mb4), count(*)
from longshore_identity as i straight_join longshore_job as j on j.id = i.id
where i.identity in %(identities)s and convert(j.identity using binary) = i.identity
  and (coalesce%(queues)s is null or j.queue in %(queues)s)
  and (coalesce%(kinds)s is null or j.kind in %(kinds)s)
group by j.queue, j.kind, j.state
union all
select j.queue, j.kind, convert(j.state using utf8mb4), count(*)
from longshore_identity as i straight_join longshore_ended as j on j.id = i.id
where i.identity in %(identities)s and convert(j.identity using binary) = i.identity
  and (coalesce%(queues)s is null or j.queue in %(queues)s)
  and (coalesce%(kinds)s is null or j.kind in %(kinds)s)
group by j.queue, j.kind, j.state;
