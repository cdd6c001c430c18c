-- Ids of members that have not ended, in order.
select job_id from longshore_member
where bundle_id = :bundle and live = 1 and job_id > :after order by job_id limit :limit;
