-- New schedules; one that somebody else has just added stays as it is.
insert into longshore_schedule (
    name, revision, seen_at, watermark, last_job, last_at, fired, skipped, missed, firing, entry
) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on duplicate key update name = values(name);
