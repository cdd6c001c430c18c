-- The migrations that have run, in their order.
select name, additive from longshore_migration order by name;
