-- How many jobs are blocked by each of these keys.
select convert(g.limit_key using utf8mb4),
       cast(sum((select count(*) from longshore_job as j where j.line = g.line)) as signed)
from longshore_gate as g
where g.limit_key in %(keys)s
group by g.limit_key
having sum((select count(*) from longshore_job as j where j.line = g.line)) > 0;
