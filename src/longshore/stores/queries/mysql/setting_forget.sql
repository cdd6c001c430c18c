-- Let limits of this name be what their jobs say.
delete from longshore_limit where name = %(name)s;
