-- How many jobs of each kind are parked.
select kind, count(*) from longshore_job where line = '#parked' group by kind;
