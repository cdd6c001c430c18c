-- Ids of jobs that are identified so, live or ended, the oldest created first.
select f.id
from (
    select distinct id from longshore_identity
    where identity in %(identities)s and id > %(cursor)s
) as f
where exists (
    select 1 from longshore_job as j
    where j.id = f.id and convert(j.identity using binary) in %(identities)s
      and (coalesce%(states)s is null or j.state in %(states)s)
      and (coalesce%(queues)s is null or j.queue in %(queues)s)
      and (coalesce%(kinds)s is null or j.kind in %(kinds)s)
) or exists (
    select 1 from longshore_ended as j
    where j.id = f.id and convert(j.identity using binary) in %(identities)s
      and (coalesce%(states)s is null or j.state in %(states)s)
      and (coalesce%(queues)s is null or j.queue in %(queues)s)
      and (coalesce%(kinds)s is null or j.kind in %(kinds)s)
)
order by f.id
limit %(limit)s;
