-- Save steps of running jobs; one that is there is replaced.
insert into longshore_step (job_id, name, is_cursor, run, saved_at, value)
values (?1, ?2, ?3, ?4, ?5, ?6)
on conflict (job_id, name) do update set
    is_cursor = excluded.is_cursor, run = excluded.run, saved_at = excluded.saved_at,
    value = excluded.value;
