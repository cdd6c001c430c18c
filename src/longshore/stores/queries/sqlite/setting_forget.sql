-- Let a limit hold as its jobs say.
delete from longshore_limit where name = :name;
