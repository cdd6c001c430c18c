-- Whether any migration has run in this database.
select to_regclass('longshore_migration') is not null;
