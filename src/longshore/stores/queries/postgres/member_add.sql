-- Jobs belong to bundles.
insert into longshore_member (bundle_id, job_id, live)
select * from unnest(%(c0)s::uuid[], %(c1)s::uuid[], %(c2)s::integer[])
on conflict do nothing;
