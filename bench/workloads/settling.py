"""Servers that have put away what they were given: what waits for long lies on disk.

A server writes pages for a while after many rows were stored. That is the price of storing them,
not of their waiting.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from bench.sample import Invalid

PATIENCE = 120.0
LEFT = 100  # pages of InnoDB that are always being changed, by its own threads
PAUSE = 0.1
#: What Redis says while it writes its files anew, or is about to.
REWRITING = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")


def settle(store: str) -> None:
    """Have this sample's server put away what it was given; the others do it as they go."""
    if store in _SETTLING:
        _SETTLING[store]()


# What is weighed or timed from its start loads no driver that its store does not need.


def _postgres() -> None:
    import psycopg  # noqa: PLC0415 - see above

    with psycopg.connect(os.environ["BENCH_URL"], autocommit=True) as connection:
        connection.execute("vacuum analyze longshore_job")
        connection.execute("checkpoint")


def _mariadb() -> None:
    from bench.workloads import raw_mysql  # noqa: PLC0415 - see above

    with raw_mysql.connected(autocommit=True) as cursor:
        cursor.execute("select @@innodb_max_dirty_pages_pct")
        ((usual,),) = cursor.fetchall()
        cursor.execute("set global innodb_max_dirty_pages_pct = 0")
        try:
            deadline = time.monotonic() + PATIENCE
            while _dirty(cursor) > LEFT:
                if time.monotonic() > deadline:
                    raise Invalid(f"MariaDB had pages left to write after {PATIENCE:.0f} s")
                time.sleep(PAUSE)
        finally:
            cursor.execute("set global innodb_max_dirty_pages_pct = %s", (usual,))


def _redis() -> None:
    """Wait for the end of a rewrite of the file of commands, which the storing of many begins."""
    from redis import Redis  # noqa: PLC0415 - see above

    with Redis.from_url(os.environ["BENCH_URL"]) as client:
        deadline = time.monotonic() + PATIENCE
        while any(client.info("persistence")[name] for name in REWRITING):
            if time.monotonic() > deadline:
                raise Invalid(f"the server wrote its files anew for more than {PATIENCE:.0f} s")
            time.sleep(PAUSE)


def _dirty(cursor: Any) -> int:
    cursor.execute("show global status like 'Innodb_buffer_pool_pages_dirty'")
    ((_, pages),) = cursor.fetchall()
    return int(pages)


_SETTLING: dict[str, Callable[[], None]] = {
    "postgres": _postgres,
    "mariadb": _mariadb,
    "redis": _redis,
    "valkey": _redis,
}
