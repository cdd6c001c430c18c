-- Change schedules.
update json_table(%(rows)s, '$[*]' columns (
    name varchar(200) path '$[0]',
    revision bigint path '$[1]',
    seen_at bigint path '$[2]',
    watermark bigint path '$[3]',
    last_job varchar(36) path '$[4]',
    last_at bigint path '$[5]',
    fired bigint path '$[6]',
    skipped bigint path '$[7]',
    missed bigint path '$[8]',
    firing varchar(36) path '$[9]',
    entry longtext character set utf8mb4 path '$[10]'
)) as v straight_join longshore_schedule as s on s.name = v.name
set s.revision = v.revision,
    s.seen_at = v.seen_at,
    s.watermark = v.watermark,
    s.last_job = v.last_job,
    s.last_at = v.last_at,
    s.fired = v.fired,
    s.skipped = v.skipped,
    s.missed = v.missed,
    s.firing = v.firing,
    s.entry = v.entry;
