-- Every queue that holds jobs ready to run, and where its first one stands in the order of a claim.
-- Nobody is waited for and nothing held: entries of jobs just claimed, which stay until they are
-- purged, cost little so.
select f.line, (
    select concat_ws(',', j.place, j.scheduled_at, j.id) from longshore_job as j
    where j.line = f.line
    order by j.line, j.place, j.scheduled_at, j.id
    limit 1
)
from (select line from longshore_job where line >= '0' and line < '{' group by line) as f;
