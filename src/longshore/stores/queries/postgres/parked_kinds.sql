-- The kinds of parked jobs.
select distinct kind from longshore_job where parked is not null;
