-- A job does not run under a key any more.
delete from longshore_slot where limit_key = ?1 and job_id = ?2;
