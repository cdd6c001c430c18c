"""Schedules in Redis: a hash each, and a sorted set of their last ticks.

What a declaration or an order comes to is worked out here from what was read; the script stores it
only if nothing has changed since, else it is worked out anew. A firing is one script.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import json, msgpack

from longshore.core.schedules import (
    Answer,
    Declare,
    Due,
    Entry,
    Fired,
    Firing,
    Outcome,
    ScheduleRecord,
    SetSchedule,
    TickRecord,
)
from longshore.core.store import operation
from longshore.core.ticks import HELD, OVERLAP, Change, declared, ordered
from longshore.stores.redis.producing import Core, packed_job
from longshore.stores.redis.scripts import SCRIPTS, Steps, Value
from longshore.stores.redis.words import text, word

_ENTRY: Final = json.Decoder(Entry)


class Scheduling(Core):
    """Declaring, setting and firing."""

    @operation(writes=True)
    def declare(self, request: Declare) -> Steps[tuple[str, ...]]:
        """Store what code declares, retire what it does not."""
        while True:
            now, there = yield from _read(())
            found = declared(request, there, now)
            if found.idle or (yield from _stored(found.changes, found.seen)):
                return found.refused

    @operation(writes=True)
    def fire(self, firings: Sequence[Firing]) -> Steps[tuple[Fired, ...]]:
        """Settle ticks."""
        if not firings:
            return ()
        payloads = [due.job.payload for one in firings for due in one.ticks if due.job is not None]
        answers: list[Any] = yield SCRIPTS["fire"](
            msgpack.encode([_firing(firing) for firing in firings]), OVERLAP, HELD, *payloads
        )
        return tuple(
            Fired(firing.name, held == 1, tuple(map(_tick, lines)))
            for firing, (held, lines) in zip(firings, answers, strict=True)
        )

    @operation(writes=True)
    def set_schedule(self, request: SetSchedule) -> Steps[Answer]:
        """Add, change, remove, pause, resume or reset a schedule."""
        while True:
            now, there = yield from _read([request.name])
            answer, change = ordered(request, there.get(request.name), now)
            if change is None:
                if answer is Answer.DONE and request.verb == "remove":
                    yield SCRIPTS["unschedule"](word(request.name))
                return answer
            if (yield from _stored([change], ())):
                return answer

    @operation(writes=False)
    def schedules(self, names: Sequence[str] | None = None) -> Steps[tuple[ScheduleRecord, ...]]:
        """Schedules by name, all or those asked for."""
        if names is not None and not names:
            return ()
        _, there = yield from _read(names or ())
        return tuple(there[name] for name in sorted(there))

    @operation(writes=False)
    def ticks(self, name: str, *, limit: int) -> Steps[tuple[TickRecord, ...]]:
        """What became of the last ticks of a schedule, the newest first."""
        lines: list[bytes] = yield SCRIPTS["ticks"](word(name), limit)
        return tuple(map(_tick, lines))


def _read(names: Sequence[str]) -> Steps[tuple[int, dict[str, ScheduleRecord]]]:
    """The store's time, and schedules by name."""
    time, told = yield SCRIPTS["schedules"](*map(word, names))
    now = int(time)
    records = [_record(told[at], told[at + 1], now) for at in range(0, len(told), 2)]
    return now, {record.name: record for record in records}


def _stored(changes: Sequence[Change], seen: Sequence[str]) -> Steps[bool]:
    """Store schedules; whether all of them were as they had been read."""
    packed = [_change(change) for change in changes]
    answer: list[int] = yield SCRIPTS["declare"](
        msgpack.encode(packed), msgpack.encode(list(map(word, seen)))
    )
    return all(answer)


def _change(change: Change) -> list[Any]:
    """A schedule as ``scripts/declare.lua`` reads it; numbers as text, for Lua would round them."""
    record = change.revised
    fields: list[Value] = [
        *("revision", str(record.revision), "seen", str(record.seen_at)),
        *("watermark", str(record.watermark), "missed", str(record.missed)),
        *("fired", str(record.fired), "skipped", str(record.skipped)),
        *("entry", json.encode(record.entry).decode()),
    ]
    lines: list[str] = []
    for tick in change.ticks:
        lines += (str(tick.at), _line(tick))
    return [word(record.name), str(change.record.revision), fields, lines]


def _record(name: bytes, fields: Sequence[Any], now: int) -> ScheduleRecord:
    revision, seen, watermark, job, at, fired, skipped, missed, firing, entry = fields
    return ScheduleRecord(
        name=text(name),
        revision=int(revision),
        seen_at=int(seen),
        watermark=int(watermark),
        last_job=job and job.decode(),
        last_at=None if at is None else int(at),
        fired=int(fired),
        skipped=int(skipped),
        missed=int(missed),
        firing=firing and firing.decode(),
        entry=_ENTRY.decode(entry),
        now=now,
    )


def _firing(firing: Firing) -> list[Any]:
    ticks = [_due(due) for due in firing.ticks]
    revision, until = str(firing.revision), str(firing.until)
    return [firing.id, word(firing.name), revision, until, firing.overlap, ticks]


def _due(due: Due) -> list[Any]:
    job = None if due.job is None else packed_job(due.job)
    return [str(due.at), due.outcome.value, due.why, job]


def _line(tick: TickRecord) -> str:
    job_id = "-" if tick.job_id is None else tick.job_id
    return f"{tick.at} {tick.outcome.value} {tick.made_at} {job_id} {tick.why or ''}"


def _tick(line: bytes) -> TickRecord:
    at, outcome, made_at, job_id, why = line.decode().split(" ", 4)
    return TickRecord(
        at=int(at),
        outcome=Outcome(outcome),
        why=why or None,
        job_id=None if job_id == "-" else job_id,
        made_at=int(made_at),
    )
