-- Let jobs wait for others again.
update longshore_job set state = 'waiting' where id in (select value from json_each(:ids));
