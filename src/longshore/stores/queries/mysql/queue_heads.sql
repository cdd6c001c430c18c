-- When the first job of each of these queues fell due, those that take turns and blocked ones too.
select f.queue, f.scheduled_at
from (
    select j.queue, j.scheduled_at, row_number() over (
        partition by j.queue order by j.place, j.scheduled_at, j.id
    ) as number
    from (
        select (
            select h.id from longshore_job as h
            where h.line = v.line
            order by h.line, h.place, h.scheduled_at, h.id
            limit 1
        ) as id
        from (
            select line from longshore_job
            where line in %(queues)s or (line > '!' and line < '"') or (line > '+' and line < ',')
            group by line
        ) as v
    ) as u straight_join longshore_job as j on j.id = u.id
) as f
where f.number = 1 and f.queue in %(queues)s;
