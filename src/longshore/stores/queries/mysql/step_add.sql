-- Save steps of running jobs; one that is there is replaced.
replace into longshore_step (job_id, name, is_cursor, run, saved_at, value)
values (%s, %s, %s, %s, %s, %s);
