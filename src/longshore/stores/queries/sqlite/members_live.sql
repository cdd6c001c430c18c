-- Those of these jobs that are live members of something.
select distinct job_id from longshore_member
where job_id in (select value from json_each(:ids)) and live = 1;
