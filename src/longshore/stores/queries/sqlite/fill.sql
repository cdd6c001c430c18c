-- Put outputs of others into the arguments of a job.
update longshore_job set payload = cast(?2 as blob) where id = ?1;
