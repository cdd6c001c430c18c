-- Let these jobs hold their keys no longer.
update longshore_job set unique_key = null, held_until = null
where id in (select value from json_each(:ids));
