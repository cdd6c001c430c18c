-- How many jobs of each kind are parked.
select kind, count(*) from longshore_job where parked is not null group by kind;
