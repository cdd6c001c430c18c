-- These jobs have ended, or live again, in all they belong to.
update longshore_member set live = :live where job_id in (select value from json_each(:ids));
