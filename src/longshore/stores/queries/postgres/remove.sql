-- Take these jobs out of those that wait or run.
delete from longshore_job where id = any(%(ids)s::uuid[]);
