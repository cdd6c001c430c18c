-- Which of these queues hold jobs ready to run, and where the first one of each stands in the order
-- of a claim, as the query ready_fronts tells it of all.
select f.line, (
    select concat_ws(',', j.place, j.scheduled_at, j.id) from longshore_job as j
    where j.line = f.line
    order by j.line, j.place, j.scheduled_at, j.id
    limit 1
)
from (select line from longshore_job where line in %(queues)s group by line) as f;
