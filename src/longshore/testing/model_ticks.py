"""Schedules of the reference model: what one process that is alone would do with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from longshore.core.model import ENDED, Inserted, NewJob
from longshore.core.schedules import (
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
from longshore.testing.model_job import ModelJob


class ModelSchedules:
    """Schedules by name, with all ticks that were settled; ``store`` takes a job."""

    def __init__(self, jobs: Mapping[str, ModelJob], store: Callable[[NewJob], Inserted]) -> None:
        self.jobs = jobs
        self.store = store
        self.records: dict[str, ScheduleRecord] = {}
        self.ticks: dict[str, dict[int, TickRecord]] = {}
        self.seen = False

    def declare(self, request: Declare, now: int) -> tuple[str, ...]:
        found = declared(request, self.records, now)
        for change in found.changes:
            self._change(change)
        for name in found.seen:
            self.records[name] = msgspec.structs.replace(self.records[name], seen_at=now)
        return found.refused

    def set_schedule(self, request: SetSchedule, now: int) -> Answer:
        answer, change = ordered(request, self.records.get(request.name), now)
        if change is not None:
            self._change(change)
        elif answer is Answer.DONE and request.verb == "remove":
            del self.records[request.name], self.ticks[request.name]
        return answer

    def fire(self, firings: Sequence[Firing], now: int) -> tuple[Fired, ...]:
        return tuple(self._fire(firing, now) for firing in firings)

    def shown(self, now: int) -> tuple[ScheduleRecord, ...]:
        """All of them as a store has to show them."""
        return tuple(
            msgspec.structs.replace(self.records[name], now=now) for name in sorted(self.records)
        )

    def told(self, name: str) -> tuple[TickRecord, ...]:
        """Every tick of one of them, the newest first."""
        kept = self.ticks.get(name, {})
        return tuple(kept[at] for at in sorted(kept, reverse=True))

    # --- parts ---

    def _change(self, change: Change) -> None:
        self.seen = True
        record = change.revised
        self.records[record.name] = record
        kept = self.ticks.setdefault(record.name, {})
        kept |= {tick.at: tick for tick in change.ticks}

    def _fire(self, firing: Firing, now: int) -> Fired:
        record = self.records.get(firing.name)
        if record is None:
            return Fired(firing.name, held=False)
        kept = self.ticks[firing.name]
        if record.firing == firing.id:
            return Fired(firing.name, held=True, ticks=tuple(kept[due.at] for due in firing.ticks))
        late = firing.ticks[0].at <= record.watermark
        if late or record.revision != firing.revision or firing.until > now:
            return Fired(firing.name, held=False)
        told: list[TickRecord] = []
        last = record.last_job
        for due in firing.ticks:
            tick = self._settled(due, last if firing.overlap else None, now)
            told.append(tick)
            last = tick.job_id if tick.outcome is Outcome.FIRED else last
        kept |= {tick.at: tick for tick in told}
        self.records[firing.name] = settled(firing, told, record)
        return Fired(firing.name, held=True, ticks=tuple(told))

    def _settled(self, due: Due, last: str | None, now: int) -> TickRecord:
        before = None if last is None else self.jobs.get(last)
        outcome, why, job_id = due.outcome, due.why, None
        if due.job is not None and before is not None and before.state not in ENDED:
            outcome, why, job_id = Outcome.SKIPPED, OVERLAP, last
        elif due.job is not None:
            answer = self.store(due.job)
            job_id = answer.id
            if answer.held and not answer.replaced:
                outcome, why = Outcome.SKIPPED, HELD
        return TickRecord(at=due.at, outcome=outcome, why=why, job_id=job_id, made_at=now)
