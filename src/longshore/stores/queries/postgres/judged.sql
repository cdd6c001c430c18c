-- Processes that seem dead: whether one has a lease all the same, and when it ends or ended.
-- Nobody renews one of these or claims for it until we end.
select id, expires_at > %(lease_now)s, expires_at from longshore_process
where id = any(%(ids)s::text[])
order by id
for update;
