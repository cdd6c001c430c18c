-- Forget who waited for whom in a bundle.
delete from longshore_edge where (parent_id, child_id) in (
    select parent_id, child_id from longshore_edge where bundle_id = :bundle limit :limit
);
