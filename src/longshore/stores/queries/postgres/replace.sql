-- Give jobs that wait the arguments, the time and the rules of newer ones.
update longshore_job as j
set payload = e.payload, state = e.state, scheduled_at = e.scheduled_at, expires_at = e.expires_at,
    identity = e.identity, held_until = e.held_until, fair_key = e.fair_key, rules = e.rules,
    parked = null, parked_by = null, blocked_by = null
from unnest(
    %(c0)s::uuid[], %(c1)s::text[], %(c2)s::text[], %(c3)s::bigint[], %(c4)s::bigint[],
    %(c5)s::text[], %(c6)s::bigint[], %(c7)s::text[], %(c8)s::text[]
) as e (
    id, payload, state, scheduled_at, expires_at, identity, held_until, fair_key, rules
)
where j.id = e.id;
