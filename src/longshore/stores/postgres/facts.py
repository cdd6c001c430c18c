"""What a PostgreSQL server says of itself."""

from __future__ import annotations

import time

from longshore.core.facts import Clock, Facts, Room
from longshore.stores.postgres.execute import Cursor, execute
from longshore.stores.sql.statements import Queries, Row

_HIDDEN = "open transactions of other users (grant pg_read_all_stats)"


def facts_of(
    cursor: Cursor, queries: Queries, *, address: str, keeps: bool, pooled: bool, each: int
) -> Facts:
    """Ask in one statement; ``each`` is how many connections a process of a worker may hold."""
    before = time.time_ns() // 1000
    rows: list[Row] = execute(cursor, queries["facts"]())
    after = time.time_ns() // 1000
    values: dict[str, str] = {name: value for name, value in rows if value is not None}
    now = int(values.pop("now"))
    return Facts(
        store="postgres",
        address=address,
        product="PostgreSQL",
        version=values.get("server_version", ""),
        values={**values, "pooled": "yes" if pooled else "no"},
        unseen=(_HIDDEN,) if values.get("hidden", "0") != "0" else (),
        clock=Clock.read(before, now, after),
        # What lies behind a pooler is shared out by it.
        room=None if pooled else _room(values, each),
        keeps=keeps,
    )


def _room(values: dict[str, str], each: int) -> Room:
    reserved = sum(
        int(values.get(name, "0"))
        for name in ("superuser_reserved_connections", "reserved_connections")
    )
    limits = [int(values[name]) for name in ("role_limit", "database_limit") if name in values]
    most = min([int(values["max_connections"]) - reserved, *limits])
    return Room(most, int(values["connections"]), each)
