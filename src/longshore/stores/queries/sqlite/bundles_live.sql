-- Those of these bundles that have live members.
select e.value from json_each(:ids) as e
where exists (select 1 from longshore_member where bundle_id = e.value and live = 1);
