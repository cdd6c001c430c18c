-- Forget who waited for whom in a bundle.
delete from longshore_edge
where ctid = any(array(
    select ctid from longshore_edge where bundle_id = %(bundle)s limit %(limit)s
));
