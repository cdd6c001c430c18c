-- Jobs that could not go are on their way again.
update longshore_outbox set parked = null, held_until = null
where parked is not null and position = any(%(positions)s::bigint[]);
