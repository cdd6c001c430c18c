-- The queues that have jobs blocked by these keys.
select convert(g.limit_key using utf8mb4), g.queue from longshore_gate as g
where g.limit_key in %(keys)s and exists (select 1 from longshore_job as j where j.line = g.line);
