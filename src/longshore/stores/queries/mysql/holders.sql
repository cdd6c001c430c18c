-- Which jobs hold these unique keys, in which state they are, and until when they hold them: one
-- that was never started, until it expires.
-- Jobs are held, in the order of their ids, and nothing else: who ends one holds it before its key.
select convert(h.unique_key using utf8mb4), j.id, j.state, case
    when j.attempted_at = 0 and j.expires_at < ifnull(h.held_until, j.expires_at + 1)
    then j.expires_at else h.held_until end
from (
    select unique_key, job_id, held_until from longshore_hold
    where unique_key in %(keys)s
    order by job_id
) as h straight_join longshore_job as j on j.id = h.job_id
for update;
