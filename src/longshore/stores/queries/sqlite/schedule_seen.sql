-- A process has declared these schedules.
update longshore_schedule set seen_at = :now
where name in (select value from json_each(:names));
