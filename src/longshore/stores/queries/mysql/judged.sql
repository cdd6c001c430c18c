-- Processes that seem dead and have a lease all the same; nobody renews one of these until we end.
select id, expires_at > %(lease_now)s from longshore_process
where id in %(ids)s
order by id
for update;
