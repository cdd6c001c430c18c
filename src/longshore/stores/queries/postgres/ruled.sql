-- The rules of those of these jobs that have any.
select id::text, rules from longshore_job where id = any(%(ids)s::uuid[]) and rules is not null;
