-- Those of these processes that have a lease, or had one and nobody has taken a job of theirs.
select id from longshore_process
where id in %(ids)s and expires_at <> 0
order by id
for update;
