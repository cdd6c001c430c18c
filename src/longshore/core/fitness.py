"""Whether a store is fit to keep jobs: from facts to findings, and no I/O.

Each finding says what was found, why it matters and what to do. ``fail`` loses jobs or stops work
as it is, ``warn`` may do so one day. What ``refuses`` keeps a worker from starting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from longshore.core import store_rules
from longshore.core.facts import Clock, Facts, numbers_of
from longshore.core.findings import Finding, ok
from longshore.core.outbox import Waiting, elsewhere
from longshore.core.schema import SchemaStatus
from longshore.core.wording import many

#: By how much a store's clock may differ from a worker's, microseconds.
SKEW: Final = 5_000_000

_OLDEST: Final[Mapping[str, tuple[int, ...]]] = {
    "PostgreSQL": (14,),
    "MariaDB": (10, 6),
    "MySQL": (8, 0, 11),
    "Redis": (6, 2),
    "SQLite": (3, 38, 0),
}


def store_findings(facts: Facts, *, processes: int = 1) -> tuple[Finding, ...]:
    """What there is to say of a store, before any job is looked at.

    ``processes``: of the worker that is about to start, or of a usual one.
    """
    found = [_version(facts), *_RULES.get(facts.store, _nothing)(facts)]
    found += _connections(facts, processes)
    if facts.clock is not None:
        found.append(_clock(facts.clock))
    if facts.unseen:
        found.append(
            Finding(
                result="warn",
                about="not seen",
                found="; ".join(facts.unseen),
                why="this user may not look",
                do="Run doctor as a user who may, now and then",
                at_start=False,
            )
        )
    return tuple(found)


def outbox_finding(waiting: Waiting, others: Mapping[str, int]) -> Finding:
    """What there is to say of jobs that wait in the application's own database."""
    if not waiting.parked:
        if others:
            return Finding(
                result="warn",
                about="outbox",
                found=elsewhere(others),
                why="until then they do not run",
                do="`longshore outbox list` shows what is for this store",
            )
        return ok("outbox", f"{many(waiting.rows, 'job')} on the way, none parked")
    return Finding(
        result="warn",
        about="outbox",
        found=f"{many(waiting.parked, 'job')} parked, the first because: {waiting.why}",
        why="they do not run",
        do="`longshore outbox list --parked` shows them; once the reason is gone, run"
        " `longshore outbox retry --all`",
    )


def table_findings(status: SchemaStatus) -> Iterator[Finding]:
    """What there is to say of the tables."""
    if status.breaking:
        yield Finding(
            result="fail",
            about="tables",
            found=f"changed by a newer release: {', '.join(status.breaking)}",
            why="this release cannot live with that and writes nothing",
            do="Upgrade Longshore here",
            refuses=True,
        )
    elif half := [name for name in status.half if name in status.pending]:
        yield Finding(
            result="fail",
            about="tables",
            found=f"migrated in part: {', '.join(half)}",
            why="nothing is written until all has run",
            do="Run `longshore db up`; `longshore db verify` names what is missing",
            refuses=True,
        )
    elif status.pending:
        none = not status.applied
        yield Finding(
            # Tables of a new store are made by whoever comes first.
            result="warn" if none else "fail",
            about="tables",
            found="none yet" if none else f"older than this release: {', '.join(status.pending)}",
            why="the first program that stores a job makes them" if none else "nothing is written",
            do="Run `longshore db up`",
            refuses=not none,
            at_start=not none,
        )
    else:
        newer = f"; a newer release has added {', '.join(status.unknown)}" if status.unknown else ""
        yield Finding(result="ok", about="tables", found=f"up to date{newer}")


def _version(facts: Facts) -> Finding:
    oldest = _OLDEST.get(facts.product, ())
    told = f"{facts.product} {facts.version}".strip()
    if numbers_of(facts.version) >= oldest:
        return ok("version", told)
    needed = ".".join(map(str, oldest))
    return Finding(
        result="fail",
        about="version",
        found=f"{told} is too old",
        why=f"Longshore needs {facts.product} {needed} or newer",
        do="Upgrade the server" if facts.store != "sqlite" else "Use a Python built with it",
        refuses=True,
    )


def _clock(clock: Clock) -> Finding:
    ahead = abs(clock.ahead) / 1e6
    where = "ahead of" if clock.ahead >= 0 else "behind"
    told = f"{ahead:.3f} s {where} this machine's, give or take {clock.error / 1e6:.3f} s"
    if abs(clock.ahead) - clock.error <= SKEW:
        return ok("clock", told)
    return Finding(
        result="warn",
        about="clock",
        found=told,
        why="jobs with a time of day, and what people read, are off by that much",
        do="Let both machines follow the same time server (chrony, systemd-timesyncd)",
    )


def _connections(facts: Facts, processes: int) -> Iterator[Finding]:
    room = facts.room
    if room is None:
        return
    needed = room.needed(processes)
    of = "1 process" if processes == 1 else f"{processes} processes"
    told = f"a worker of {of} needs up to {needed}; the server takes {room.most}, has {room.used}"
    fewer = "Raise its limit, start fewer processes, or put a pooler in between"
    if needed > room.most:
        yield Finding(
            result="fail",
            about="connections",
            found=told,
            why="there could never be enough",
            do=fewer,
            refuses=True,
        )
    elif needed > room.free:
        yield Finding(
            result="warn",
            about="connections",
            found=told,
            why="a worker that finds none free waits, and its jobs with it",
            do=fewer,
        )
    else:
        yield ok("connections", told)


def _nothing(_: Facts) -> Iterator[Finding]:
    yield from ()


_RULES: Final[Mapping[str, Callable[[Facts], Iterator[Finding]]]] = {
    "postgres": store_rules.postgres,
    "mysql": store_rules.mysql,
    "redis": store_rules.redis,
    "sqlite": store_rules.sqlite,
}
