-- Forget a bundle, once nothing of it is left.
delete from longshore_bundle
where id = %(bundle)s
  and not exists (select 1 from longshore_edge where bundle_id = %(bundle)s);
