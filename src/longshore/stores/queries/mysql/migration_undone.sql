-- Forget a migration of which nothing has run.
delete from longshore_migration where name = %(name)s and applied_at is null;
