-- Keep these ended jobs for longer.
update longshore_ended set kept_until = :until
where id in (select value from json_each(:ids));
