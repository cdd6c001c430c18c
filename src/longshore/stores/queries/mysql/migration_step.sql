-- Note how far a migration has come.
update longshore_migration set steps = %(steps)s where name = %(name)s;
