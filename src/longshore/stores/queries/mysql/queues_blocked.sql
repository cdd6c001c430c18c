-- The queues that have jobs blocked by a limit.
select distinct g.queue from longshore_gate as g
where exists (select 1 from longshore_job as j where j.line = g.line);
