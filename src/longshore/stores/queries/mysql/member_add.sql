-- Jobs belong to bundles.
insert ignore into longshore_member (bundle_id, job_id, live) values (%s, %s, %s);
