-- How many jobs each process runs.
select claimed_by, count(*) from longshore_job indexed by longshore_job_running
where state = 'running'
group by claimed_by;
