-- The rules of those of these jobs that have some.
select id, rules from longshore_job where id in %(ids)s and rules is not null;
