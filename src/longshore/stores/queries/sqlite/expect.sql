-- Keep these jobs for a while after their end, unless they are kept for longer.
update longshore_job set keep_result = :keep
where id in (select value from json_each(:ids)) and keep_result < :keep;
