-- The kinds of parked jobs.
select distinct kind from longshore_job indexed by longshore_job_parked where parked is not null;
