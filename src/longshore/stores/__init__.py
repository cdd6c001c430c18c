"""Places where jobs live, behind the seam of :mod:`longshore.core.store`.

:func:`connect` finds the store for an address; a driver is imported when its store is asked for.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TypeAlias

from longshore.core.shards import ShardBy
from longshore.core.store import Retention, Store
from longshore.core.store_url import StoreURL, parse_url
from longshore.errors import ConfigurationError
from longshore.stores.clock import Clock

__all__ = ["Address", "connect", "load"]

Address: TypeAlias = StoreURL | str


def connect(
    url: Address,
    *,
    retention: Retention,
    prefix: str,
    durability: str,
    clock: Clock | None = None,
    shard_by: ShardBy = "kind",
) -> Store:
    """Make the store for an address; nothing is opened before the first operation.

    Args:
        url: where jobs live, as :func:`longshore.core.store_url.parse_url` reads it.
        retention: how long ended jobs stay.
        prefix: what the names of tables or keys begin with, lower-case letters, digits and ``_``.
        durability: ``full`` (acknowledged means on disk), ``normal`` (a power cut may lose the
            last moments) or, for Redis, ``replicated``; an option in the address wins.
        clock: decides leases and what is due; the machine's or the server's own unless given.
        shard_by: what decides a job's shard, where the address has several.

    Raises:
        ConfigurationError: the address cannot be read, it has an option or a durability that the
            store does not have, or the store's driver is not installed.

    Example:
        >>> store = connect(
        ...     "memory://", retention=Retention(), prefix="longshore_", durability="full"
        ... )
        >>> store.name
        'memory'
    """
    address = parse_url(url) if isinstance(url, str) else url
    if not address.shards:
        return _open(address, retention, prefix, durability, clock)
    from longshore.stores.sharded.store import ShardedStore  # noqa: PLC0415 - only who asks pays

    # Shards of one address lie there side by side, under prefixes of their own.
    alike = len(address.shards) > 1 and len({str(one) for one in address.shards}) == 1
    prefixes = (
        f"{prefix}{number:02d}_" if alike else prefix for number in range(len(address.shards))
    )
    shards = [
        _open(one, retention, own, durability, clock)
        for one, own in zip(address.shards, prefixes, strict=True)
    ]
    return ShardedStore(shards, shard_by=shard_by)


def load(url: str) -> None:
    """Load the code that opens such a store, for who has nothing else to do just now.

    What is wrong with the address or a driver is said by :func:`connect`.
    """
    with suppress(ConfigurationError, ImportError):
        address = parse_url(url)
        for one in address.shards or (address,):
            import_module(f"longshore.stores.{one.store}.store")


def _open(
    address: StoreURL, retention: Retention, prefix: str, durability: str, clock: Clock | None
) -> Store:
    match address.store:
        case "memory":
            from longshore.stores.memory.store import MemoryStore  # noqa: PLC0415 - only who asks pays

            return MemoryStore(retention=retention, clock=clock)
        case "sqlite":
            from longshore.stores.sqlite.store import open_sqlite  # noqa: PLC0415 - only who asks pays

            return open_sqlite(
                address, retention=retention, prefix=prefix, durability=durability, clock=clock
            )
        case "postgres":
            from longshore.stores.postgres.store import open_postgres  # noqa: PLC0415 - only who asks pays

            return open_postgres(
                address, retention=retention, prefix=prefix, durability=durability, clock=clock
            )
        case "mysql":
            from longshore.stores.mysql.store import open_mysql  # noqa: PLC0415 - only who asks pays

            return open_mysql(
                address, retention=retention, prefix=prefix, durability=durability, clock=clock
            )
        case _:
            from longshore.stores.redis.store import open_redis  # noqa: PLC0415 - only who asks pays

            return open_redis(
                address, retention=retention, prefix=prefix, durability=durability, clock=clock
            )
