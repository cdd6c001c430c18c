-- Ids of members, in order: those that have ended and those that live, each in theirs already.
select job_id from longshore_member
where bundle_id = :bundle and live = 0 and job_id > :after
union all
select job_id from longshore_member
where bundle_id = :bundle and live = 1 and job_id > :after
order by job_id limit :limit;
