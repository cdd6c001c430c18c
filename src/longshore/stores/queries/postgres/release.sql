-- Give running jobs back: they keep their place, and nobody may report on the runs any more.
update longshore_job as j
set state = 'available', claimed_by = null, slot_key = null, interruptions = j.interruptions + e.interrupted,
    runs = e.runs
from unnest(%(c0)s::uuid[], %(c1)s::integer[], %(c2)s::text[]) as e (id, interrupted, runs)
where j.id = e.id;
