-- Which jobs hold these unique keys, and in which state they are.
-- Jobs are held, in the order of their ids, and nothing else: who ends one holds it before its key.
select convert(h.unique_key using utf8mb4), j.id, j.state, h.held_until
from (
    select unique_key, job_id, held_until from longshore_hold
    where unique_key in %(keys)s
    order by job_id
) as h straight_join longshore_job as j on j.id = h.job_id
for update;
