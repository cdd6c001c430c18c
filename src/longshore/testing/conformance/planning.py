"""What the chapters on schedules share: schedules to declare, orders, and ticks to settle."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from longshore.core.schedules import (
    Answer,
    CatchUp,
    Declare,
    Fired,
    Firing,
    Overlap,
    Schedule,
    ScheduleRecord,
    SetSchedule,
    TickRecord,
)
from longshore.core.ticks import planned
from longshore.testing.conformance.bench import Bench


def schedule(bench: Bench, name: str = "s", **fields: Any) -> Schedule:
    """A schedule of every hour; ``job`` gives fields of its jobs."""
    given: dict[str, Any] = {"when": "0 * * * *", **fields}
    job = bench.new(**{"scheduled_at": 0, "created_at": 0, **given.pop("job", {})})
    return Schedule(name=name, job=msgspec.structs.replace(job, id=""), **given)


def declare(
    bench: Bench, *schedules: Schedule, app: str = "app", fresh: bool = True
) -> tuple[str, ...]:
    """A process of the application declares these and no others."""
    return bench.do(bench.store.declare(Declare(app, schedules, fresh)))


def order(bench: Bench, verb: str, name: str = "s", **fields: Any) -> Answer:
    """What a person orders."""
    request = SetSchedule(name=name, verb=verb, app="app", **fields)
    return bench.do(bench.store.set_schedule(request))


def read(bench: Bench, name: str = "s") -> ScheduleRecord:
    """The schedule of this name."""
    (record,) = bench.do(bench.store.schedules([name]))
    return record


def plan(bench: Bench, name: str = "s") -> Firing | None:
    """What a worker finds to do for a schedule now."""
    return planned(read(bench, name), bench.now, lambda: bench.new().id)


def due(bench: Bench, name: str = "s") -> Firing:
    """The same, where there is something to do."""
    firing = plan(bench, name)
    assert firing is not None, f"{name} has nothing to do"
    return firing


def fire(bench: Bench, *firings: Firing) -> tuple[Fired, ...]:
    """Settle ticks."""
    return bench.do(bench.store.fire(firings))


def catch_up(bench: Bench, name: str = "s") -> list[TickRecord]:
    """Settle all that is due, as a worker does; the ticks in their order."""
    found: list[TickRecord] = []
    while (firing := plan(bench, name)) is not None:
        (fired,) = fire(bench, firing)
        assert fired.held
        found += fired.ticks
    return found


def told(ticks: Sequence[TickRecord]) -> list[str]:
    """What became of ticks, each in a word."""
    return [tick.outcome.value for tick in ticks]


def ticks(bench: Bench, name: str = "s", limit: int = 2000) -> tuple[TickRecord, ...]:
    """What is kept of the last ticks."""
    return bench.do(bench.store.ticks(name, limit=limit))


def hourly(bench: Bench, catch_up: CatchUp, **fields: Any) -> None:
    """A schedule of every hour, at the half of which it is now."""
    to_half_past(bench)
    declare(bench, schedule(bench, catch_up=catch_up, **fields))


def skipping(bench: Bench, **fields: Any) -> Schedule:
    """A schedule that skips ticks while its last job has not ended."""
    return schedule(bench, overlap=Overlap.SKIP, **fields)


def to_half_past(bench: Bench) -> None:
    """Move the clock to the half of an hour."""
    hour = 3_600_000_000
    bench.pass_time(hour + hour // 2 - bench.now % hour)


def instant(text: str) -> int:
    """Microseconds since 1970 of a time with its offset.

    Example:
        >>> instant("1970-01-01T01:00:00+01:00")
        0
    """
    return round(datetime.fromisoformat(text).timestamp()) * 1_000_000
