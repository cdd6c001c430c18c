-- Those of these processes that have a lease now.
select id from longshore_process
where id in %(ids)s and expires_at > %(lease_now)s
order by id
for update;
