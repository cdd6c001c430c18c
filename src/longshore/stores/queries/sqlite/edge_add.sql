-- Jobs wait for others.
insert into longshore_edge (parent_id, child_id, bundle_id) values (?1, ?2, ?3)
on conflict do nothing;
