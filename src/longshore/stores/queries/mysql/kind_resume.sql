-- Let a kind of job go on.
delete from longshore_kind where kind = %(kind)s;
