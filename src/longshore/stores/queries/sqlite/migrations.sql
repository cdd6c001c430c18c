-- The migrations that have run, in their order.
select name from longshore_migration order by name;
