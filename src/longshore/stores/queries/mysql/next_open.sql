-- When the next key opens by which jobs are blocked.
select o.opens_at from longshore_opening as o
where exists (
    select 1 from longshore_gate as g where g.limit_key = o.limit_key and exists (select 1 from longshore_job as j where j.line = g.line)
)
order by o.opens_at
limit 1;
