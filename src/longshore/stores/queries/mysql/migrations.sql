-- The migrations that have run or begun, in their order.
select name, additive, applied_at is not null, steps from longshore_migration order by name;
