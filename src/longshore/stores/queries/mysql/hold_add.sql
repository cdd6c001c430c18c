-- Let jobs hold their unique keys.
insert into longshore_hold (unique_key, job_id, held_until) values (%s, %s, %s);
