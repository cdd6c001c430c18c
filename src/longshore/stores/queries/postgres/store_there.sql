-- Whether the tables of a store are here.
select to_regclass('longshore_store')::text;
