-- Where the first two jobs of each of these queues stand in the order of a claim, as `fronts.py`
-- says. Of many queues quicker than a query for each.
select (
    select concat(500000 + j.place, 5000000000000000000 + j.scheduled_at, j.id, j.line) from longshore_job as j
    where j.line = v.line
    order by j.line, j.place, j.scheduled_at, j.id
    limit 1
), (
    select concat(500000 + j.place, 5000000000000000000 + j.scheduled_at, j.id, j.line) from longshore_job as j
    where j.line = v.line
    order by j.line, j.place, j.scheduled_at, j.id
    limit 1, 1
)
from json_table(%(queues)s, '$[*]' columns (
    line char(64) character set ascii collate ascii_bin path '$[0]'
)) as v;
