-- Change schedules.
update longshore_schedule
set revision = ?2,
    seen_at = ?3,
    watermark = ?4,
    last_job = ?5,
    last_at = ?6,
    fired = ?7,
    skipped = ?8,
    missed = ?9,
    firing = ?10,
    entry = ?11
where name = ?1;
