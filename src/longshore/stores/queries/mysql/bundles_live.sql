-- Those of these bundles that have live members.
select e.id from longshore_bundle as e
where e.id in %(ids)s
  and exists (select 1 from longshore_member as m where m.bundle_id = e.id and m.live = 1);
