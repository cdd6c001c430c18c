-- Jobs belong to bundles.
insert into longshore_member (bundle_id, job_id, live) values (?1, ?2, ?3) on conflict do nothing;
