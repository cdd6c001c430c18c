-- How many jobs each process runs.
select claimed_by, count(*) from longshore_job where state = 'running' group by claimed_by;
