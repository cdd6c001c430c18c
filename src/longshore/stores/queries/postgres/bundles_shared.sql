-- Those of these bundles that have not finished, and do not until we end.
select id::text from longshore_bundle
where id = any(%(ids)s::uuid[]) and finished_at is null
order by id
for share;
