-- Records of processes that have neither a lease nor running jobs, and when their leases ended.
select p.id, p.expires_at from longshore_process as p
where p.expires_at <= %(lease_now)s
  and not exists (select 1 from longshore_job as j where j.line = concat('~', p.id));
