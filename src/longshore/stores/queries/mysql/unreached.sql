-- Running jobs of a process that belong to claims whose answer never reached it.
-- Held in the order of their ids, as everybody holds jobs, and looked at again when they are.
select j.id, j.run, substr(j.line, 2), j.claimed_at, j.queue, j.kind, j.cancel_requested, j.keep_result,
       j.reason, j.runs, j.rules
from (
    select id from longshore_job
    where line = concat('~', %(process_id)s) and place < %(oldest_claim)s
    order by id
    limit %(limit)s
) as u straight_join longshore_job as j on j.id = u.id
where j.line = concat('~', %(process_id)s) and j.place < %(oldest_claim)s
for update;
