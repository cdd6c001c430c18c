-- Note that a job leaves steps or log lines, and which job of its id it is.
insert into longshore_noted (job_id, born) values (%s, %s);
