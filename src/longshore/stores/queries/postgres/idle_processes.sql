-- Records of processes that have neither a lease nor running jobs, and when their leases ended.
select p.id, p.expires_at from longshore_process as p
where p.expires_at <= %(lease_now)s
  and not exists (
      select 1 from longshore_job as j where j.state = 'running' and j.claimed_by = p.id
  )
order by p.id
for update of p skip locked;
