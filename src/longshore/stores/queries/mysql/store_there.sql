-- Whether the tables of a store are here.
select 1 from information_schema.tables
where table_schema = database() and table_name = 'longshore_store';
