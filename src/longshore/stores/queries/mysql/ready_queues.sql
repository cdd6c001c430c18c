-- Every queue that holds jobs ready to run, except where values take turns.
select line from longshore_job where line >= '0' and line < '{' group by line;
