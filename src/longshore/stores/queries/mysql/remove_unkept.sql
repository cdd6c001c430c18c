-- The same of jobs of which nothing is kept, if nobody has begun to wait for one of them.
delete from longshore_job
where id in %(ids)s and line = concat('~', %(process_id)s) and run = %(run)s and keep_result = 0;
