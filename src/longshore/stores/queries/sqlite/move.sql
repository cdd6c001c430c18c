-- Put jobs into another queue.
update longshore_job set queue = :queue where id in (select value from json_each(:ids));
