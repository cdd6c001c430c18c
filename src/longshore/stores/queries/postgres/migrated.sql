-- Note a migration that has run.
insert into longshore_migration (name, additive, applied_at)
values (%(name)s, %(additive)s, %(now)s);
