-- Where the first job of each of these queues stands, as the query ready_fronts tells it of all.
select (
    select concat(500000 + j.place, 5000000000000000000 + j.scheduled_at, j.id, j.line) from longshore_job as j
    where j.line = f.line
    order by j.line, j.place, j.scheduled_at, j.id
    limit 1
)
from (select line from longshore_job where line in %(queues)s group by line) as f;
