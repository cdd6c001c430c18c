-- Note that a running job is under a key.
insert into longshore_slot (limit_key, job_id) values (?1, ?2) on conflict do nothing;
