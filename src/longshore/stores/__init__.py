"""Places where jobs live, behind the seam of :mod:`longshore.core.store`.

:func:`connect` finds the store for an address; a driver is imported when its store is asked for.
"""

from __future__ import annotations

from typing import TypeAlias

from longshore.core.store import Retention, Store
from longshore.core.store_url import StoreURL, parse_url
from longshore.errors import ConfigurationError
from longshore.stores.clock import Clock

__all__ = ["Address", "connect"]

Address: TypeAlias = StoreURL | str


def connect(
    url: Address,
    *,
    retention: Retention,
    prefix: str,
    durability: str,
    clock: Clock | None = None,
) -> Store:
    """Make the store for an address; nothing is opened before the first operation.

    Args:
        url: where jobs live, as :func:`longshore.core.store_url.parse_url` reads it.
        retention: how long ended jobs stay.
        prefix: what the names of tables begin with, lower-case letters, digits and ``_``.
        durability: ``full`` (acknowledged means on disk) or ``normal`` (a power cut may lose the
            last moments); an option ``synchronous`` in the address wins.
        clock: decides leases and what is due; the machine's own unless given.

    Raises:
        ConfigurationError: no store of this release serves the address, or it has an option or
            a durability that the store does not have.

    Example:
        >>> store = connect(
        ...     "memory://", retention=Retention(), prefix="longshore_", durability="full"
        ... )
        >>> store.name
        'memory'
    """
    address = parse_url(url) if isinstance(url, str) else url
    match address.store:
        case "memory":
            from longshore.stores.memory.store import MemoryStore  # noqa: PLC0415 - only who asks pays

            return MemoryStore(retention=retention, clock=clock)
        case "sqlite":
            from longshore.stores.sqlite.store import open_sqlite  # noqa: PLC0415 - only who asks pays

            return open_sqlite(
                address, retention=retention, prefix=prefix, durability=durability, clock=clock
            )
        case other:
            raise ConfigurationError(
                f"store: {address} names a {other} store, which this release does not have yet."
                " Use sqlite:///jobs.db or memory://."
            )
