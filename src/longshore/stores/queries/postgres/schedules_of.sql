-- These schedules, as they are when nobody else changes them until we end.
select name, revision, seen_at, watermark, last_job, last_at, fired, skipped, missed, firing, entry
from longshore_schedule
where name = any(%(names)s::text[])
order by name
for update;
