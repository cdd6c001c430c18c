-- The rules of the first job that each of these keys has blocked, in its first queue.
select f.limit_key, (
    select j.rules from longshore_job as j
    where j.line = f.line
    order by j.line, j.place, j.scheduled_at, j.id
    limit 1
)
from (
    select convert(g.limit_key using utf8mb4) as limit_key, g.line,
           row_number() over (partition by g.limit_key order by g.queue) as number
    from longshore_gate as g
    where g.limit_key in %(keys)s and exists (select 1 from longshore_job as j where j.line = g.line)
) as f
where f.number = 1;
