-- Some queues of keys that have no blocked jobs any more.
select convert(g.limit_key using utf8mb4) from longshore_gate as g
where not exists (select 1 from longshore_job as j where j.line = g.line)
limit %(limit)s;
