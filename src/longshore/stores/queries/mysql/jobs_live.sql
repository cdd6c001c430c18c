-- Those of these jobs that have not ended.
select id from longshore_job where id in %(ids)s;
