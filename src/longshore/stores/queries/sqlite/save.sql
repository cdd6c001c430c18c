-- Write the progress of one running job.
update longshore_job set progress = ?2 where id = ?1;
