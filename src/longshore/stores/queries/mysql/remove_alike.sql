-- Take these jobs out of those that run, if one process runs all of them with this run number.
delete from longshore_job
where id in %(ids)s and line = concat('~', %(process_id)s) and run = %(run)s;
