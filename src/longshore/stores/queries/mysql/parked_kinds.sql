-- The kinds of parked jobs.
select kind from longshore_job where line = '#parked' group by kind;
