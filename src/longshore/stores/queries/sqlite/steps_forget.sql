-- Delete the steps of these jobs.
delete from longshore_step where job_id in (select value from json_each(:ids));
