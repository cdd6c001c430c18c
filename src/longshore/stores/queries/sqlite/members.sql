-- Ids of members, in order.
select job_id from longshore_member
where bundle_id = :bundle and live >= :least and job_id > :after order by job_id limit :limit;
