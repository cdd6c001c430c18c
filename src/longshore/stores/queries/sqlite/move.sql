-- Put jobs into another queue; what has blocked them is looked at again there.
update longshore_job set queue = :queue, blocked_by = null
where id in (select value from json_each(:ids));
