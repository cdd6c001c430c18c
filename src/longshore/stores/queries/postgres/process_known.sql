-- Whether a process has a record.
select 1 from longshore_process where id = %(id)s;
