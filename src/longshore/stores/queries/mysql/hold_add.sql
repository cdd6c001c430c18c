-- Let jobs hold their unique keys; a key that is held stays with its holder, and is no error in a caller's transaction.
insert ignore into longshore_hold (unique_key, job_id, held_until) values (%s, %s, %s);
