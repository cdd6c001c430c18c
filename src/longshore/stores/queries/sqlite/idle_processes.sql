-- Records of processes that have neither a lease nor running jobs, and when their leases ended.
select p.id, iif(p.boot_id = :boot_id, p.expires_at, 0) from longshore_process as p
where not (p.boot_id = :boot_id and p.expires_at > :boot_now)
  and not exists (
      select 1 from longshore_job indexed by longshore_job_running
      where state = 'running' and claimed_by = p.id
  );
