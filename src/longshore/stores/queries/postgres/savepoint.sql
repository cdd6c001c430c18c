-- What follows may be undone alone.
savepoint longshore;
