-- End runs whose jobs go on; process and run stay, to know a repeated report by.
update longshore_job as j
set state = e.state, scheduled_at = coalesce(e.at, j.scheduled_at),
    failures = j.failures + e.failed, runs = e.runs, budgets = coalesce(e.budgets, j.budgets),
    queue = coalesce(e.queue, j.queue), priority = coalesce(e.priority, j.priority),
    parked = e.parked, parked_by = e.parked_by, reason = e.reason,
    interruptions = j.interruptions + e.interrupted, slot_key = null
from unnest(
    %(c0)s::uuid[], %(c1)s::text[], %(c2)s::bigint[], %(c3)s::integer[], %(c4)s::text[],
    %(c5)s::text[], %(c6)s::text[], %(c7)s::smallint[], %(c8)s::text[], %(c9)s::text[],
    %(c10)s::text[], %(c11)s::integer[]
) as e (
    id, state, at, failed, runs, budgets, queue, priority, parked, parked_by, reason, interrupted
)
where j.id = e.id;
