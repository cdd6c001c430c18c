-- Note that a migration has begun.
insert into longshore_migration (name, additive, steps, applied_at)
values (%(name)s, %(additive)s, 0, null);
