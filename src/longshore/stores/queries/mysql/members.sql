-- Ids of members, in order: those that have ended and those that live, each in theirs already.
select job_id from (
(
    select job_id from longshore_member
    where bundle_id = %(bundle)s and live = 0 and job_id > %(after)s
    order by job_id limit %(limit)s
)
union all
(
    select job_id from longshore_member
    where bundle_id = %(bundle)s and live = 1 and job_id > %(after)s
    order by job_id limit %(limit)s
)
) as both_kinds
order by job_id
limit %(limit)s;
