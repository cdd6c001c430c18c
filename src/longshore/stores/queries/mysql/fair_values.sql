-- The values that take turns in these queues, each at the first priority where some do.
select f.queue, f.priority, f.fair_key
from (
    select j.queue, j.priority, j.fair_key, min(j.priority) over (partition by j.queue) as first
    from (
        select (
            select h.id from longshore_job as h
            where h.line = v.line
            order by h.line, h.place, h.scheduled_at, h.id
            limit 1
        ) as id
        from (
            select line from longshore_job where line > '+' and line < ',' group by line
        ) as v
    ) as u straight_join longshore_job as j on j.id = u.id
    where j.queue in %(queues)s
) as f
where f.priority = f.first;
