-- Note a migration that has run.
insert into longshore_migration (name, applied_at) values (:name, :now);
