-- Whether the tables of a store are here: a column of one, if it is there.
select 1 from pragma_table_info('longshore_store') as e limit 1;
