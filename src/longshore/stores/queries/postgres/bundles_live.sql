-- Those of these bundles that have live members.
select e.id::text from unnest(%(ids)s::uuid[]) as e (id)
where exists (select from longshore_member as m where m.bundle_id = e.id and m.live = 1);
