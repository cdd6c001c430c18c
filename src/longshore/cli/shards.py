"""What commands say of a store of several shards when one of them does not answer."""

from __future__ import annotations

from longshore.core.store import Counted, Filter, Store
from longshore.errors import StoreUnavailable


def troubles(store: Store) -> tuple[str, ...]:
    """A sentence for each shard that did not answer; none for a store that is one."""
    found: tuple[str, ...] = getattr(store, "troubles", ())
    return found


def counted(store: Store) -> tuple[Counted, ...]:
    """Counts of the whole store, or where a shard does not answer, of the others."""
    try:
        return store.run(store.count(Filter()))
    except StoreUnavailable:
        if not troubles(store):
            raise
    from longshore.stores.sharded.store import ShardedStore  # noqa: PLC0415 - seldom

    assert isinstance(store, ShardedStore)  # noqa: S101 - no other has troubles and goes on
    answering = store.answering()
    return answering.run(answering.count(Filter()))
