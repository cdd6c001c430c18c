-- Those of these jobs that are live members of something.
select distinct job_id from longshore_member where job_id in %(ids)s and live = 1;
