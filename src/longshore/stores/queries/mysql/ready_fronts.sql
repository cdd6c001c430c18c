-- Where the first job of every queue stands that holds jobs ready to run, as `fronts.py` says.
-- Nobody is waited for and nothing held: entries of jobs just claimed, which stay until they are
-- purged, cost little so.
select (
    select concat(500000 + j.place, 5000000000000000000 + j.scheduled_at, j.id, j.line) from longshore_job as j
    where j.line = f.line
    order by j.line, j.place, j.scheduled_at, j.id
    limit 1
)
from (select line from longshore_job where line >= '0' and line < '{' group by line) as f;
