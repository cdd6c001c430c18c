-- Forget queues of these keys that have no blocked jobs any more.
delete from longshore_gate
where limit_key in %(keys)s
  and not exists (select 1 from longshore_job as j where j.line = longshore_gate.line);
