-- Who waits for these jobs.
select child_id from longshore_edge where parent_id in %(ids)s;
