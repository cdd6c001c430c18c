-- Ask running jobs to end.
update longshore_job set cancel_requested = 1, reason = coalesce(:reason, reason)
where id in (select value from json_each(:ids));
