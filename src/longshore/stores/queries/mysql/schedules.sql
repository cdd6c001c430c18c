-- Every schedule.
select name, revision, seen_at, watermark, last_job, last_at, fired, skipped, missed, firing, entry from longshore_schedule order by name;
