-- Forget a schedule.
delete from longshore_schedule where name = :name;
