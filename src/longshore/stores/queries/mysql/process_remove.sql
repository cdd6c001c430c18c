-- Remove the records of processes. Looked at again: a claim may have been under way.
delete from longshore_process
where id in %(ids)s and expires_at <= %(lease_now)s
  and not exists (
      select 1 from longshore_job as j where j.line = concat('~', longshore_process.id)
  );
