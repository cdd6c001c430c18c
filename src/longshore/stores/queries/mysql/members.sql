-- Ids of members, in order.
select job_id from longshore_member
where bundle_id = %(bundle)s and live >= %(least)s and job_id > %(after)s
order by job_id
limit %(limit)s;
