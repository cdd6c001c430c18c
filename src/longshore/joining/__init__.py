"""Enqueueing in the caller's transaction: his connection, his commit, our statements.

* ``kinds`` recognises a connection by its class, without importing a driver
* ``through``, ``drivers``, ``sqlalchemy``, ``django`` execute a store's statements over it
* ``styles`` writes a statement in the parameter style of its driver
* ``driving`` drives operations over it
* ``enqueue`` decides where a job goes: into the transaction, the outbox, or the store after commit
* ``here`` knows what plain enqueues of this thread or task join
"""
