-- Let a queue go on.
delete from longshore_queue where name = %(name)s;
