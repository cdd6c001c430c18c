-- What holds jobs back now, other than being full: paused queues and kinds, when the next full
-- rate or paused kind opens, and in which queues jobs take turns. Their order is asked for although
-- one is as good as another: without it the server reads the whole row of each entry that it steps
-- over, and those of jobs just claimed stay until they are purged.
select 'queue', name, null from longshore_queue
where paused_until is null or paused_until > %(now)s
union all
select 'kind', kind, paused_until from longshore_kind
where paused_until is null or paused_until > %(now)s
union all
(
    select 'opens', convert(limit_key using utf8mb4), opens_at from longshore_opening
    order by opens_at, limit_key
    limit 1
)
union all
select distinct 'fair', j.queue, null
from (
    select (
        select h.id from longshore_job as h
        where h.line = v.line
        order by h.line, h.place, h.scheduled_at, h.id
        limit 1
    ) as id
    from (select line from longshore_job where line > '+' and line < ',' group by line) as v
) as u straight_join longshore_job as j on j.id = u.id;
