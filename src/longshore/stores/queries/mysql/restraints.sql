-- What holds jobs back now, other than being full: paused queues and kinds, when the next full
-- rate or paused kind opens, and in which queues jobs take turns.
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
select distinct 'fair', (select j.queue from longshore_job as j where j.line = f.line limit 1), null
from (select line from longshore_job where line > '+' and line < ',' group by line) as f;
