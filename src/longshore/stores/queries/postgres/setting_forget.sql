-- Let the code say again what holds for a limit.
delete from longshore_limit where name = %(name)s;
