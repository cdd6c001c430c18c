-- Forget by what these jobs were identified, if they are gone.
delete from longshore_identity
where id in %(ids)s
  and not exists (select 1 from longshore_job as j where j.id = longshore_identity.id)
  and not exists (select 1 from longshore_ended as e where e.id = longshore_identity.id);
