-- Remove the records of processes.
delete from longshore_process where id in (select value from json_each(:ids));
