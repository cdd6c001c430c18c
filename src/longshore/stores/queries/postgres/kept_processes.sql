-- Those of these processes that have a lease, or had one and nobody has taken a job of theirs.
-- Nobody claims for them meanwhile, or takes their jobs.
select id from longshore_process
where id = any(%(ids)s::text[]) and expires_at <> 0
order by id
for no key update;
