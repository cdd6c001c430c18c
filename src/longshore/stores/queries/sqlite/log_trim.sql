-- Delete the lines of a log up to a number.
delete from longshore_log where job_id = ?1 and number <= ?2;
