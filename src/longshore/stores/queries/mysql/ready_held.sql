-- Of these jobs those that are ready to run and that nobody else takes just now; held.
select id, kind, queue, payload, concat('[', concat_ws(
    ',', run + 1, priority, failures, interruptions, max_attempts, scheduled_at, created_at, %(now)s,
    coalesce(timeout, 'null'), coalesce(keep_result, 'null')
), ']'), budgets, tags, meta, rules
from longshore_job
where id in %(ids)s and line >= '0' and line < '{'
for update skip locked;
