-- Jobs begin to use their limits.
insert ignore into longshore_slot (limit_key, job_id) values (%s, %s);
