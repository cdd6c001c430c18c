-- Jobs wait for others.
insert ignore into longshore_edge (parent_id, child_id, bundle_id) values (%s, %s, %s);
