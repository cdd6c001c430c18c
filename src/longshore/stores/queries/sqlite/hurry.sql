-- Make timed jobs available now.
update longshore_job set state = 'available', scheduled_at = :now
where id in (select value from json_each(:ids));
