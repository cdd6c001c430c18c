-- Jobs have arrived.
delete from longshore_outbox where position = any(%(positions)s::bigint[]);
