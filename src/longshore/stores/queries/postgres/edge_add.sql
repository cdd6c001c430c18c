-- Jobs wait for others.
insert into longshore_edge (parent_id, child_id, bundle_id)
select * from unnest(%(c0)s::uuid[], %(c1)s::uuid[], %(c2)s::uuid[])
on conflict do nothing;
