-- Whether any migration has run on this file.
select 1 from sqlite_schema where type = 'table' and name = 'longshore_migration';
