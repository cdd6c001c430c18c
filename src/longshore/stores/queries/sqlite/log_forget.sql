-- Delete the logs of these jobs.
delete from longshore_log where job_id in (select value from json_each(:ids));
