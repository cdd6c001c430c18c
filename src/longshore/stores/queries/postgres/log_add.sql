-- Add lines to the logs of running jobs; one that is there stays.
insert into longshore_log (job_id, number, at, level, message)
select * from unnest(
    %(c0)s::uuid[], %(c1)s::bigint[], %(c2)s::bigint[], %(c3)s::text[], %(c4)s::text[]
)
on conflict do nothing;
