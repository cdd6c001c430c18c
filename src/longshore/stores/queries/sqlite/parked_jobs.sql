-- How many jobs of each kind are parked.
select kind, count(*) from longshore_job indexed by longshore_job_parked
where parked is not null
group by kind;
