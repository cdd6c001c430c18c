-- How many jobs each process runs.
select substr(line, 2), count(*) from longshore_job where line > '~' group by line;
