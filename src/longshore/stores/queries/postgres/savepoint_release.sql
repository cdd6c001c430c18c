-- What was done since the savepoint is part of the transaction.
release savepoint longshore;
