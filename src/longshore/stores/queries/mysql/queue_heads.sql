-- When the first job of each of these queues fell due.
select f.line, (
    select j.scheduled_at from longshore_job as j
    where j.line = f.line
    order by j.line, j.place, j.scheduled_at, j.id
    limit 1
)
from (select line from longshore_job where line in %(queues)s group by line) as f;
