-- Forget members of a bundle.
delete from longshore_member where (job_id, bundle_id) in (
    select job_id, bundle_id from longshore_member where bundle_id = :bundle limit :limit
);
