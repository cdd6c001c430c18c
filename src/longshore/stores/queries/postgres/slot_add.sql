-- Count running jobs for their limits.
insert into longshore_slot (limit_key, job_id)
select * from unnest(%(c0)s::text[], %(c1)s::uuid[])
on conflict do nothing;
