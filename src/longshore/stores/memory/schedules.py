"""Schedules of the memory store, and what became of their ticks."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from longshore.core.model import ENDED
from longshore.core.schedules import (
    KEPT_TICKS,
    Answer,
    Declare,
    Due,
    Fired,
    Firing,
    Outcome,
    ScheduleRecord,
    SetSchedule,
    TickRecord,
)
from longshore.core.ticks import HELD, OVERLAP, Change, declared, ordered, settled
from longshore.stores.memory.state import State


class Scheduling:
    """Schedules by name, over the state in which their jobs are stored."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._records: dict[str, ScheduleRecord] = {}
        self._ticks: dict[str, dict[int, TickRecord]] = {}

    def declare(self, request: Declare) -> tuple[str, ...]:
        now = self._state.clock.wall_us()
        found = declared(request, self._records, now)
        for change in found.changes:
            self._put(change)
        for name in found.seen:
            record = self._records[name]
            self._records[name] = msgspec.structs.replace(record, seen_at=now)
        return found.refused

    def fire(self, firings: Sequence[Firing]) -> tuple[Fired, ...]:
        now = self._state.clock.wall_us()
        return tuple(self._fire(firing, now) for firing in firings)

    def set_schedule(self, request: SetSchedule) -> Answer:
        record = self._records.get(request.name)
        answer, change = ordered(request, record, self._state.clock.wall_us())
        if change is not None:
            self._put(change)
        elif answer is Answer.DONE and request.verb == "remove":
            del self._records[request.name]
            self._ticks.pop(request.name, None)
        return answer

    def schedules(self, names: Sequence[str] | None) -> tuple[ScheduleRecord, ...]:
        now = self._state.clock.wall_us()
        chosen = self._records if names is None else self._records.keys() & set(names)
        return tuple(
            msgspec.structs.replace(self._records[name], now=now) for name in sorted(chosen)
        )

    def ticks(self, name: str, limit: int) -> tuple[TickRecord, ...]:
        kept = self._ticks.get(name, {})
        return tuple(kept[at] for at in sorted(kept, reverse=True)[:limit])

    # --- helpers ---

    def _put(self, change: Change) -> None:
        record = change.revised
        self._records[record.name] = record
        self._note(record.name, change.ticks)

    def _note(self, name: str, ticks: Sequence[TickRecord]) -> None:
        kept = self._ticks.setdefault(name, {})
        kept.update({tick.at: tick for tick in ticks})
        for at in sorted(kept)[:-KEPT_TICKS]:
            del kept[at]

    def _fire(self, firing: Firing, now: int) -> Fired:
        record = self._records.get(firing.name)
        if record is not None and record.firing == firing.id:
            kept = self._ticks[firing.name]
            return Fired(
                firing.name,
                held=True,
                ticks=tuple(kept[due.at] for due in firing.ticks if due.at in kept),
            )
        if record is None or not firing.fits(record, now):
            return Fired(firing.name, held=False)
        told: list[TickRecord] = []
        last = record.last_job
        for due in firing.ticks:
            tick = self._settle(firing, due, last, now)
            told.append(tick)
            last = tick.job_id if tick.outcome is Outcome.FIRED else last
        self._records[firing.name] = settled(firing, told, record)
        self._note(firing.name, told)
        return Fired(firing.name, held=True, ticks=tuple(told))

    def _settle(self, firing: Firing, due: Due, last: str | None, now: int) -> TickRecord:
        plain = TickRecord(at=due.at, outcome=due.outcome, why=due.why, made_at=now)
        if due.job is None:
            return plain
        skipped = msgspec.structs.replace(plain, outcome=Outcome.SKIPPED)
        row = None if last is None else self._state.rows.get(last)
        if firing.overlap and row is not None and row.state not in ENDED:
            return msgspec.structs.replace(skipped, why=OVERLAP, job_id=last)
        (answer,) = self._state.insert([due.job])
        if answer.held and not answer.replaced:
            return msgspec.structs.replace(skipped, why=HELD, job_id=answer.id)
        return msgspec.structs.replace(plain, job_id=answer.id)
