-- Those of these jobs that have not ended.
select id::text from longshore_job where id = any(%(ids)s::uuid[]);
