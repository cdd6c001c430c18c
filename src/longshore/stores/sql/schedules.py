"""Schedules of a SQL store: a row each, and a row for each of their last ticks.

Whoever settles ticks holds the row of their schedule, so that the comparison of its revision, the
jobs, the records of the ticks and the new watermark are one write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec
from msgspec import json

from longshore.core.model import NewJob
from longshore.core.schedules import (
    KEPT_TICKS,
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
from longshore.core.ticks import HELD, OVERLAP, Change, declared, ordered, settled
from longshore.stores.sql.holds import hold_of
from longshore.stores.sql.operations import Producing
from longshore.stores.sql.statements import Row, Steps

_ENTRY = json.Decoder(Entry)
#: Later than any tick.
_ALWAYS = 1 << 62


class Scheduling(Producing):
    """Declaring, setting and firing."""

    @operation(writes=True)
    def declare(self, request: Declare) -> Steps[tuple[str, ...]]:
        """Store what code declares, retire what it does not."""
        now = yield from self.time()
        rows: list[Row] = yield self.sql["schedules"]()
        there = _records(rows, now)
        found = declared(request, there, now)
        if found.idle:
            return found.refused
        # Again, of those that change, when nobody else changes them.
        names = [*(change.record.name for change in found.changes), *found.seen]
        rows = yield self.sql["schedules_of"](names=self.listed(names))
        for name in names:
            there.pop(name, None)
        found = declared(request, {**there, **_records(rows, now)}, now)
        yield from self.schedules_put(found.changes)
        if found.seen:
            yield self.sql["schedule_seen"](names=self.listed(found.seen), now=now)
        return found.refused

    @operation(writes=True)
    def fire(self, firings: Sequence[Firing]) -> Steps[tuple[Fired, ...]]:
        """Settle ticks."""
        if not firings:
            return ()
        now = yield from self.time()
        names = sorted({firing.name for firing in firings})
        rows: list[Row] = yield self.sql["schedules_of"](names=self.listed(names))
        records = _records(rows, now)
        last = [
            records[firing.name].last_job
            for firing in firings
            if firing.overlap and firing.name in records
        ]
        live: set[str] = set()
        if any(last):
            rows = yield self.sql["jobs_live"](ids=self.ids([one for one in last if one]))
            live = {job_id for (job_id,) in rows}
        answers: list[Fired] = []
        plain: list[NewJob] = []
        moved: dict[str, tuple[ScheduleRecord, tuple[TickRecord, ...]]] = {}
        for firing in firings:
            record = records.get(firing.name)
            if record is not None and record.firing == firing.id:
                answers.append((yield from self.fired_before(firing)))
            elif record is None or not firing.fits(record, now):
                answers.append(Fired(firing.name, held=False))
            else:
                ticks = yield from self.ticks_settled(firing, record.last_job, live, now)
                plain += _plain(firing, ticks)
                records[firing.name] = after = settled(firing, ticks, record)
                moved[firing.name] = after, ticks
                answers.append(Fired(firing.name, held=True, ticks=ticks))
        if plain:
            yield from self.inserted(plain, now)
        if moved:
            yield self.sql["schedule_set"].many([_row(after) for after, _ in moved.values()])
            yield from self.ticks_noted(moved.values())
        return tuple(answers)

    @operation(writes=True)
    def set_schedule(self, request: SetSchedule) -> Steps[Answer]:
        """Add, change, remove, pause, resume or reset a schedule."""
        now = yield from self.time()
        rows: list[Row] = yield self.sql["schedules_of"](names=self.listed([request.name]))
        record = _records(rows, now).get(request.name)
        answer, change = ordered(request, record, now)
        if change is not None:
            yield from self.schedules_put([change])
        elif answer is Answer.DONE and request.verb == "remove":
            yield self.sql["schedule_remove"](name=request.name)
            yield self.sql["ticks_remove"](name=request.name, until=_ALWAYS)
        return answer

    @operation(writes=False)
    def schedules(self, names: Sequence[str] | None = None) -> Steps[tuple[ScheduleRecord, ...]]:
        """Schedules by name, all or those asked for."""
        now = yield from self.time()
        rows: list[Row] = yield self.sql["schedules"]()
        found = _records(rows, now)
        chosen = found if names is None else found.keys() & set(names)
        return tuple(found[name] for name in sorted(chosen))

    @operation(writes=False)
    def ticks(self, name: str, *, limit: int) -> Steps[tuple[TickRecord, ...]]:
        """What became of the last ticks of a schedule, the newest first."""
        return (yield from self.ticks_told(name, limit))

    # --- helpers ---

    def ticks_told(self, name: str, limit: int) -> Steps[tuple[TickRecord, ...]]:
        rows: list[Row] = yield self.sql["ticks"](name=name, limit=limit)
        return tuple(
            TickRecord(at=at, outcome=Outcome(outcome), why=why, job_id=job_id, made_at=made_at)
            for at, outcome, why, job_id, made_at in rows
        )

    def schedules_put(self, changes: Sequence[Change]) -> Steps[None]:
        new = [change.revised for change in changes if not change.record.revision]
        old = [change.revised for change in changes if change.record.revision]
        if new:
            yield self.sql["schedule_add"].many([_row(record) for record in new])
        if old:
            yield self.sql["schedule_set"].many([_row(record) for record in old])
        yield from self.ticks_noted([(change.record, change.ticks) for change in changes])

    def ticks_noted(
        self, moved: Collection[tuple[ScheduleRecord, Sequence[TickRecord]]]
    ) -> Steps[None]:
        rows: list[Row] = [
            (record.name, tick.at, tick.outcome.value, tick.why, tick.job_id, tick.made_at)
            for record, ticks in moved
            for tick in ticks
        ]
        if rows:
            yield self.sql["tick_add"].many(rows)
        for record, ticks in moved:
            if ticks and record.fired + record.skipped + record.missed > KEPT_TICKS:
                rows = yield self.sql["tick_bound"](name=record.name, kept=KEPT_TICKS)
                if rows:
                    yield self.sql["ticks_remove"](name=record.name, until=rows[0][0])

    def fired_before(self, firing: Firing) -> Steps[Fired]:
        """What was answered to a firing that was done, its answer lost."""
        kept = yield from self.ticks_told(firing.name, KEPT_TICKS)
        mine = {due.at for due in firing.ticks}
        told = tuple(tick for tick in reversed(kept) if tick.at in mine)
        return Fired(firing.name, held=True, ticks=told)

    def ticks_settled(
        self, firing: Firing, last: str | None, live: set[str], now: int
    ) -> Steps[tuple[TickRecord, ...]]:
        ticks: list[TickRecord] = []
        for due in firing.ticks:
            tick = yield from self.tick_settled(firing, due, last, live, now)
            ticks.append(tick)
            if tick.outcome is Outcome.FIRED and tick.job_id is not None:
                last = tick.job_id
                live.add(last)
        return tuple(ticks)

    def tick_settled(
        self, firing: Firing, due: Due, last: str | None, live: set[str], now: int
    ) -> Steps[TickRecord]:
        """What a tick comes to; its job, if it holds a key, is stored now."""
        tick = TickRecord(at=due.at, outcome=due.outcome, why=due.why, made_at=now)
        if due.job is None:
            return tick
        skipped = msgspec.structs.replace(tick, outcome=Outcome.SKIPPED)
        if firing.overlap and last in live:
            return msgspec.structs.replace(skipped, why=OVERLAP, job_id=last)
        if hold_of(due.job) is not None:
            holder, stored = yield from self.stored_one(due.job, now)
            if not stored:
                return msgspec.structs.replace(skipped, why=HELD, job_id=holder)
            return msgspec.structs.replace(tick, job_id=holder)
        return msgspec.structs.replace(tick, job_id=due.job.id)

    def stored_one(self, job: NewJob, now: int) -> Steps[tuple[str, bool]]:
        """Store a job with a unique key; the job that has it now, and whether that is news."""
        while True:
            verdict = yield from self.judged([job], now)
            (answer,) = verdict.answers
            yield from self.settled(verdict, now)
            new = list(verdict.new.values())
            if not new or (yield from self.inserted(new, now)):
                return answer.id, not answer.held or answer.replaced


def _plain(firing: Firing, ticks: Sequence[TickRecord]) -> list[NewJob]:
    """The jobs of ticks that are fired and not stored yet: those without a unique key."""
    fired = {tick.job_id for tick in ticks}
    jobs = [due.job for due in firing.ticks if due.job is not None]
    return [job for job in jobs if hold_of(job) is None and job.id in fired]


def _records(rows: Iterable[Row], now: int) -> dict[str, ScheduleRecord]:
    found: dict[str, ScheduleRecord] = {}
    for *values, entry in rows:
        name, revision, seen_at, watermark, last_job, last_at, fired, skipped, missed, firing = (
            values
        )
        found[name] = ScheduleRecord(
            name=name,
            revision=revision,
            seen_at=seen_at,
            watermark=watermark,
            last_job=last_job,
            last_at=last_at,
            fired=fired,
            skipped=skipped,
            missed=missed,
            firing=firing,
            entry=_ENTRY.decode(entry),
            now=now,
        )
    return found


def _row(record: ScheduleRecord) -> Row:
    """Its columns."""
    return (
        record.name,
        record.revision,
        record.seen_at,
        record.watermark,
        record.last_job,
        record.last_at,
        record.fired,
        record.skipped,
        record.missed,
        record.firing,
        json.encode(record.entry),
    )
