"""Which ticks of a schedule are due, and what becomes of each; and what changes a schedule.

Pure: the time is given, ids are made by who asks. A store applies what is decided here under its
own lock, after it has compared the revision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from longshore.core.schedules import (
    RETIRES,
    SEEN,
    Answer,
    CatchUp,
    Declare,
    Due,
    Entry,
    Firing,
    Outcome,
    Overlap,
    Schedule,
    ScheduleRecord,
    SetSchedule,
    TickRecord,
    job_of,
)
from longshore.errors import InvalidSchedule

#: A tick that is no older than this is in time, microseconds: another worker had to take over.
IN_TIME: Final = 30_000_000
#: One firing settles at most so many ticks, and enqueues at most so many jobs.
MOST_TICKS: Final = 1000
MOST_JOBS: Final = 100

PAUSED: Final = "paused"
RETIRED: Final = "retired"
OVERLAP: Final = "the job before has not ended"
HELD: Final = "its unique key is held"
NOT_CAUGHT_UP: Final = "nobody was there"
COALESCED: Final = "a later one was due"
TOO_OLD: Final = "older than max_age"
EDITED: Final = "the schedule was changed"


def next_due(record: ScheduleRecord) -> int | None:
    """The next tick that is to be settled; ``None`` for a schedule that is retired."""
    if record.retired:
        return None
    found = _after(record.schedule, record.watermark, 1)
    return found[0] if found else None


def coming(record: ScheduleRecord, after: int, count: int) -> list[int]:
    """The nominal times to come, whether it is paused or not."""
    return _after(record.schedule, max(after, record.watermark), count)


def planned(record: ScheduleRecord, now: int, make_id: Callable[[], str]) -> Firing | None:
    """What is to be done for the ticks that are due; some of them, where they are many."""
    if record.retired:
        return None
    schedule = record.schedule
    found = _between(schedule, record.watermark, now, MOST_TICKS + 1)
    if not found:
        return None
    due, more = found[:MOST_TICKS], len(found) > MOST_TICKS
    skipped = {at: why for at in due if (why := _skipped(record.entry, at)) is not None}
    latest = None if more else next((at for at in reversed(due) if at not in skipped), None)
    settled: list[Due] = []
    jobs = 0
    for at in due:
        outcome, why = Outcome.SKIPPED, skipped.get(at)
        if why is None:
            why = _too_late(schedule, now - at, latest=at == latest)
            outcome = Outcome.FIRED if why is None else Outcome.MISSED
        job = None
        if outcome is Outcome.FIRED:
            if jobs == MOST_JOBS:
                break
            jobs += 1
            job = job_of(schedule.job, at, now, make_id(), record.name)
        settled.append(Due(at, outcome, why, job))
    skips = schedule.overlap is Overlap.SKIP
    return Firing(make_id(), record.name, record.revision, tuple(settled), skips)


def _skipped(entry: Entry, at: int) -> str | None:
    """Why a tick is not to be fired at all."""
    if entry.gap is not None and entry.gap[0] < at <= entry.gap[1]:
        return entry.gap[2]
    return None if entry.paused_at is None else PAUSED


def _too_late(schedule: Schedule, age: int, *, latest: bool) -> str | None:
    """Why a late tick is not caught up; ``None``: it is, or it is in time."""
    if schedule.max_age is not None and age > schedule.max_age:
        return TOO_OLD
    if latest and age <= IN_TIME:
        return None
    if schedule.catch_up is CatchUp.NONE:
        return NOT_CAUGHT_UP
    return COALESCED if schedule.catch_up is CatchUp.ONE and not latest else None


def _between(schedule: Schedule, after: int, until: int, most: int) -> list[int]:
    from longshore.core.cron import ticks  # noqa: PLC0415 - only who has schedules pays for it

    return ticks(schedule.when, schedule.tz, after, until, most)


def _after(schedule: Schedule, after: int, count: int) -> list[int]:
    from longshore.core.cron import next_ticks  # noqa: PLC0415 - only who has schedules pays for it

    return next_ticks(schedule.when, schedule.tz, after, count)


# --- what changes a schedule ------------------------------------------------------------------


class Change(msgspec.Struct, frozen=True, gc=False):
    """A schedule as it is to be stored, and ticks of before that nobody fires any more.

    ``record`` has the revision that it had; with 0 it is new.
    """

    record: ScheduleRecord
    ticks: tuple[TickRecord, ...] = ()

    @property
    def revised(self) -> ScheduleRecord:
        """As it is stored.

        A new one begins with its time, a revision that none before it under its name ever had: who
        still knows one that was removed must not take this for it.
        """
        record = self.record
        revision = record.revision + 1 if record.revision else max(1, record.entry.created_at)
        return msgspec.structs.replace(record, revision=revision)


class Declared(msgspec.Struct, frozen=True, gc=False):
    """What a declaration comes to."""

    changes: tuple[Change, ...] = ()
    seen: tuple[str, ...] = ()  # nothing to change but that they were declared again
    refused: tuple[str, ...] = ()  # names that another living application has

    @property
    def idle(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.changes or self.seen)


def declared(request: Declare, there: Mapping[str, ScheduleRecord], now: int) -> Declared:
    """What becomes of the schedules of an application that one of its processes declares."""
    changes: list[Change] = []
    seen: list[str] = []
    refused: list[str] = []
    for schedule in request.schedules:
        record = there.get(schedule.name)
        if record is None:
            changes.append(Change(_new(request.app, schedule, now, coded=True)))
            continue
        entry = record.entry
        if entry.app != request.app and _lives(record, now):
            refused.append(schedule.name)
            continue
        same = schedule == entry.coded
        # What no living process declares any more gives way, as after a deploy that was undone.
        left = now - record.seen_at >= RETIRES
        coded = schedule if request.fresh or entry.coded is None or left else entry.coded
        after = msgspec.structs.replace(entry, app=request.app, coded=coded, retired_at=None)
        if entry.retired_at is not None:
            after = _with_gap(after, record, (entry.retired_at, now, RETIRED))
        if after != entry:
            changes.append(_changed(record, after, now))
        elif same and now - record.seen_at >= SEEN:
            seen.append(schedule.name)
    mine = {schedule.name for schedule in request.schedules}
    for record in there.values():
        entry = record.entry
        if (
            record.name not in mine
            and entry.app == request.app
            and entry.coded is not None
            and entry.retired_at is None
            and now - record.seen_at >= RETIRES
        ):
            retired = msgspec.structs.replace(entry, retired_at=now)
            changes.append(
                Change(msgspec.structs.replace(record, entry=retired))
            )  # not seen: only a process that has it says so
    return Declared(tuple(changes), tuple(seen), tuple(refused))


def ordered(
    request: SetSchedule, record: ScheduleRecord | None, now: int
) -> tuple[Answer, Change | None]:
    """What becomes of a schedule by a person's order; without a record of a removed one."""
    if request.verb == "add" and request.schedule is not None and record is None:
        return Answer.DONE, Change(_new(request.app, request.schedule, now, coded=False))
    if record is None:
        return Answer.UNKNOWN, None
    entry = record.entry
    match request.verb:
        case "add":
            after = msgspec.structs.replace(entry, edited=request.schedule)
            if record.retired and entry.retired_at is not None:
                after = _with_gap(after, record, (entry.retired_at, now, RETIRED))
        case "reset" if entry.coded is not None:
            after = _resumed(msgspec.structs.replace(entry, edited=None), record, now)
        case "pause":
            since = now if entry.paused_at is None else entry.paused_at
            after = msgspec.structs.replace(entry, paused_at=since, reason=request.reason)
        case "resume" | "reset":
            after = _resumed(entry, record, now)
        case "remove":
            if entry.coded is not None and entry.retired_at is None:
                return Answer.IN_CODE, None
            return Answer.DONE, None
        case verb:
            raise ValueError(f"no order {verb!r}")
    return Answer.DONE, None if after == entry else _changed(record, after, now)


def _new(app: str, schedule: Schedule, now: int, *, coded: bool) -> ScheduleRecord:
    entry = Entry(
        app=app,
        coded=schedule if coded else None,
        edited=None if coded else schedule,
        created_at=now,
    )
    return ScheduleRecord(
        name=schedule.name,
        revision=0,
        seen_at=now if coded else 0,
        watermark=now,
        last_job=None,
        last_at=None,
        fired=0,
        skipped=0,
        missed=0,
        firing=None,
        entry=entry,
        now=now,
    )


def _changed(record: ScheduleRecord, after: Entry, now: int) -> Change:
    """The schedule with this entry. With other times it begins anew: what was due is missed."""
    seen = now if after.coded is not None else record.seen_at
    before, then = record.entry.schedule, after.schedule
    if before.same_times(then):
        return Change(msgspec.structs.replace(record, entry=after, seen_at=seen))
    gone = () if record.retired else _gone(record, now)
    return Change(
        msgspec.structs.replace(
            record,
            entry=msgspec.structs.replace(after, gap=None),
            seen_at=seen,
            watermark=max(now, record.watermark),
            missed=record.missed + len(gone),
        ),
        gone,
    )


def _gone(record: ScheduleRecord, now: int) -> tuple[TickRecord, ...]:
    try:
        due = _between(record.schedule, record.watermark, now, MOST_TICKS)
    except InvalidSchedule:
        # Times that this release or machine cannot read; who corrects them must not be stopped.
        due = []
    return tuple(TickRecord(at=at, outcome=Outcome.MISSED, why=EDITED, made_at=now) for at in due)


def _resumed(entry: Entry, record: ScheduleRecord, now: int) -> Entry:
    if entry.paused_at is None:
        return entry
    after = msgspec.structs.replace(entry, paused_at=None, reason=None)
    return _with_gap(after, record, (entry.paused_at, now, PAUSED))


def _with_gap(entry: Entry, record: ScheduleRecord, gap: tuple[int, int, str]) -> Entry:
    """An entry whose ticks in this time are skipped.

    One gap is kept. Where ticks of an older one are not settled yet, what lies between is in it.
    """
    before = record.entry.gap
    try:
        left = _after(record.schedule, record.watermark, 1)
    except InvalidSchedule:  # as above
        left = []
    if before is not None and left and left[0] <= before[1]:
        gap = (min(before[0], gap[0]), gap[1], gap[2])
    return msgspec.structs.replace(entry, gap=gap)


def _lives(record: ScheduleRecord, now: int) -> bool:
    """Whether a process of its application has declared it lately, or a person added it."""
    return record.entry.coded is None or now - record.seen_at < RETIRES


def settled(firing: Firing, decide: Sequence[TickRecord], record: ScheduleRecord) -> ScheduleRecord:
    """The schedule after its ticks have come to these."""
    fired = [tick for tick in decide if tick.outcome is Outcome.FIRED]
    count = dict.fromkeys(Outcome, 0)
    for tick in decide:
        count[tick.outcome] += 1
    return msgspec.structs.replace(
        record,
        revision=record.revision + 1,
        watermark=firing.until,
        last_job=fired[-1].job_id if fired else record.last_job,
        last_at=fired[-1].at if fired else record.last_at,
        fired=record.fired + count[Outcome.FIRED],
        skipped=record.skipped + count[Outcome.SKIPPED],
        missed=record.missed + count[Outcome.MISSED],
        firing=firing.id,
    )
