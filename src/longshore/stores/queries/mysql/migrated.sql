-- Note that a migration has run.
update longshore_migration
set applied_at = timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))
where name = %(name)s;
