-- Those of these bundles that have not finished, and do not until we end.
select id from longshore_bundle
where id in %(ids)s and finished_at is null
order by id
lock in share mode;
