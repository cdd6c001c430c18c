-- New schedules; one that somebody else has just added stays as it is.
insert into longshore_schedule (
    name, revision, seen_at, watermark, last_job, last_at, fired, skipped, missed, firing, entry
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
on conflict (name) do nothing;
