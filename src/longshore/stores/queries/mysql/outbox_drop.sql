-- Jobs that could not go are given up.
delete from longshore_outbox where parked is not null and position in %(positions)s;
