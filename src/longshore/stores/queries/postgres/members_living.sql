-- Ids of members that have not ended, in order.
select job_id::text from longshore_member
where bundle_id = %(bundle)s and live = 1 and job_id > %(after)s
order by job_id
limit %(limit)s;
