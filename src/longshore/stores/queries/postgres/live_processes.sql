-- Those of these processes that have a lease now; nobody claims for them meanwhile.
select id from longshore_process
where id = any(%(ids)s::text[]) and expires_at > %(lease_now)s
order by id
for no key update;
