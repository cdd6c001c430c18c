-- A process has declared these schedules.
update longshore_schedule set seen_at = %(now)s where name in %(names)s;
