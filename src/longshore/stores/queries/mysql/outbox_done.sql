-- Jobs have arrived.
delete from longshore_outbox where position in %(positions)s;
