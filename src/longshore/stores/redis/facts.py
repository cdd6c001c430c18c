"""What a Redis or Valkey server says of itself."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from longshore.core.facts import Clock, Facts, Room
from longshore.stores.redis.wire import Refused, checked, pack

#: How many connections one process of a worker holds: it claims, it listens, and a job asks.
EACH = 3

#: What is of interest of all that INFO tells.
_TOLD = frozenset(
    {
        *("redis_version", "valkey_version", "role", "master_host", "master_link_status"),
        *("maxmemory", "maxmemory_policy", "used_memory", "aof_enabled", "aof_last_write_status"),
        *("rdb_last_bgsave_status", "cluster_enabled", "connected_clients", "maxclients"),
    }
)


def facts_of(
    address: str, *, keeps: bool, forced: bool
) -> Generator[tuple[bytes, int], list[Any], Facts]:
    """Ask a server, which may be one that is not used; a right that is missing is told."""
    before = time.time_ns() // 1000
    (clock,) = yield pack(("TIME",)), 1
    after = time.time_ns() // 1000
    info, appendfsync = yield pack(("INFO",)) + pack(("CONFIG", "GET", "appendfsync")), 2
    values, unseen = dict[str, str](), list[str]()
    if _denied(info):
        unseen.append("nearly everything (the user may not INFO)")
    else:
        values = told(checked(info))
    if isinstance(appendfsync, Refused):
        unseen.append("appendfsync (the user may not CONFIG GET)")
    else:
        values["appendfsync"] = _text(appendfsync[1]) if len(appendfsync) > 1 else ""
    if values.get("cluster_enabled") == "1":
        (cluster,) = yield pack(("CLUSTER", "INFO")), 1
        if isinstance(cluster, Refused):
            unseen.append("the state of the cluster (the user may not CLUSTER INFO)")
        else:
            values |= _lines(cluster)
    known = {name: value for name, value in values.items() if value}
    valkey = known.get("valkey_version")
    return Facts(
        store="redis",
        address=address,
        product="Valkey" if valkey else "Redis",
        version=valkey or known.get("redis_version", "999"),
        values=known,
        unseen=tuple(unseen),
        clock=None if _denied(clock) else _clock(before, checked(clock), after),
        room=_room(known),
        keeps=keeps,
        forced=forced,
    )


def told(info: bytes) -> dict[str, str]:
    """What is of interest of the answer to INFO."""
    return {name: value for name, value in _lines(info).items() if name in _TOLD}


def _lines(reply: bytes) -> dict[str, str]:
    return dict(
        line.split(":", 1) for line in reply.decode("utf-8", "replace").split("\r\n") if ":" in line
    )


def _denied(reply: Any) -> bool:
    return isinstance(reply, Refused) and reply.code == "NOPERM"


def _clock(before: int, reply: list[bytes], after: int) -> Clock:
    seconds, micros = map(int, reply)
    return Clock.read(before, seconds * 1_000_000 + micros, after)


def _room(values: dict[str, str]) -> Room | None:
    most, used = values.get("maxclients", ""), values.get("connected_clients", "")
    return Room(int(most), int(used), EACH) if most.isdecimal() and used.isdecimal() else None


def _text(reply: bytes) -> str:
    return reply.decode("utf-8", "replace")
