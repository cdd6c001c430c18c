-- Those of these jobs that are live members of something.
select distinct job_id::text from longshore_member
where job_id = any(%(ids)s::uuid[]) and live = 1;
