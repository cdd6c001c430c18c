-- Change schedules.
update longshore_schedule as s
set revision = e.revision,
    seen_at = e.seen_at,
    watermark = e.watermark,
    last_job = e.last_job,
    last_at = e.last_at,
    fired = e.fired,
    skipped = e.skipped,
    missed = e.missed,
    firing = e.firing,
    entry = e.entry
from unnest(
    %(c0)s::text[], %(c1)s::bigint[], %(c2)s::bigint[], %(c3)s::bigint[],
    %(c4)s::text[], %(c5)s::bigint[], %(c6)s::bigint[], %(c7)s::bigint[],
    %(c8)s::bigint[], %(c9)s::text[], %(c10)s::text[]
) as e (
    name, revision, seen_at, watermark, last_job, last_at, fired, skipped, missed, firing, entry
)
where s.name = e.name;
