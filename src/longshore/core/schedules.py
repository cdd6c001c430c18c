"""Schedules as stores keep them: what is to be enqueued when, and what became of each tick.

A *tick* is one nominal time of a schedule. The *watermark* is the tick up to which all have been
fired, skipped or missed; it only grows, and whoever fires moves it by compare-and-set, so that a
tick is never fired twice, whatever becomes of its job. Times are microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from longshore.core.model import JobState, NewJob

#: So many records of ticks are kept for each schedule.
KEPT_TICKS: Final = 1000
#: After so long without a process that declares it a schedule in code is retired, microseconds.
RETIRES: Final = 60_000_000
#: How old the last sign of such a process may become before a new one is written, microseconds.
SEEN: Final = 20_000_000


class CatchUp(StrEnum):
    """Which of the ticks are fired that nobody fired in time."""

    NONE = "none"
    ONE = "one"  # the latest
    ALL = "all"  # oldest first


class Overlap(StrEnum):
    """What becomes of a tick while the job of the one before has not ended."""

    ALLOW = "allow"
    SKIP = "skip"


class Outcome(StrEnum):
    """What became of a tick."""

    FIRED = "fired"
    SKIPPED = "skipped"
    MISSED = "missed"


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is to be enqueued, and when.

    ``when`` is a cron text or an interval such as ``every 15 min``, in the zone ``tz``; ``max_age``
    microseconds, ``None`` for any. ``job`` is each job: its delay counts from the tick, its expiry
    from when the job is made.
    """

    name: str
    when: str
    job: NewJob
    tz: str = "UTC"
    catch_up: CatchUp = CatchUp.ONE
    max_age: int | None = None
    overlap: Overlap = Overlap.ALLOW

    def same_times(self, other: Schedule) -> bool:
        """Whether both have the same ticks."""
        return (self.when, self.tz) == (other.when, other.tz)


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is declared and set for one schedule; stores keep it as one value.

    ``coded`` is what the code of ``app`` says, ``edited`` what was added at run time: it wins.
    ``gap``: ticks after the first and up to the second time are skipped, and why: the schedule was
    paused or retired then.
    """

    app: str
    coded: Schedule | None = None
    edited: Schedule | None = None
    created_at: int = 0
    paused_at: int | None = None
    reason: str | None = None
    retired_at: int | None = None
    gap: tuple[int, int, str] | None = None

    @property
    def schedule(self) -> Schedule:
        """What holds now."""
        found = self.edited or self.coded
        if found is None:
            raise ValueError("an entry without a schedule")
        return found


class ScheduleRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A stored schedule as people read it.

    ``revision`` grows with every change but ``seen_at``, when a process of its application last
    declared it. ``last_job`` is the newest job of a tick, of ``last_at``; ``fired``, ``skipped``
    and ``missed`` count ticks. ``now`` is the store's time at which it was read.
    """

    name: str
    revision: int
    seen_at: int
    watermark: int
    last_job: str | None
    last_at: int | None
    fired: int
    skipped: int
    missed: int
    firing: str | None  # the request that moved the watermark last
    entry: Entry
    now: int = 0

    @property
    def schedule(self) -> Schedule:
        """What holds now."""
        return self.entry.schedule

    @property
    def paused(self) -> bool:
        """Whether a person paused it."""
        return self.entry.paused_at is not None

    @property
    def retired(self) -> bool:
        """Whether it is in no code any more, and was not added at run time."""
        return self.entry.retired_at is not None and self.entry.edited is None

    @property
    def in_code(self) -> bool:
        """Whether code declares it, or did until it was retired."""
        return self.entry.coded is not None

    @property
    def edited(self) -> bool:
        """Whether what was added at run time holds instead of what code declares."""
        return self.entry.coded is not None and self.entry.edited is not None


class TickRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one tick: ``at`` its nominal time, ``made_at`` when that was decided.

    ``why`` it was not fired; ``job_id`` is its job, or the one that was in its way.
    """

    at: int
    outcome: Outcome
    why: str | None = None
    job_id: str | None = None
    made_at: int = 0


class Due(msgspec.Struct, frozen=True, gc=False):
    """One tick to be fired, with its job, or to be recorded as ``outcome`` says."""

    at: int
    outcome: Outcome
    why: str | None = None
    job: NewJob | None = None


class Firing(msgspec.Struct, frozen=True, gc=False):
    """Ticks of one schedule, all those between two watermarks, oldest first.

    It holds only if the schedule still has this ``revision`` and the store's clock has come to the
    last tick. ``overlap``: a tick is skipped while the last job has not ended. The ``id`` is made
    for it: repeated, it is answered and not done again.
    """

    id: str
    name: str
    revision: int
    ticks: tuple[Due, ...]
    overlap: bool = False

    @property
    def until(self) -> int:
        """The new watermark."""
        return self.ticks[-1].at


class Fired(msgspec.Struct, frozen=True, gc=False):
    """What came of a firing; ``held`` false: nothing was written, look at the schedule again."""

    name: str
    held: bool
    ticks: tuple[TickRecord, ...] = ()


class Declare(msgspec.Struct, frozen=True, gc=False):
    """The schedules in the code of one application, as one of its processes declares them.

    With ``fresh`` the process has just started, and what differs is an edit of the code; later it
    only says that it still has them.
    """

    app: str
    schedules: tuple[Schedule, ...]
    fresh: bool = False


class SetSchedule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a person orders for one schedule.

    ``verb``: ``add`` (or change: ``schedule`` says what, ``app`` whose it is), ``remove``,
    ``pause``, ``resume``, or ``reset``: back to what the code says.
    """

    name: str
    verb: str
    app: str = ""
    schedule: Schedule | None = None
    reason: str | None = None


class Answer(StrEnum):
    """What came of such an order."""

    DONE = "done"
    UNKNOWN = "unknown"  # no schedule has this name
    IN_CODE = "in code"  # it is declared in code: it cannot be removed


def job_of(template: NewJob, tick: int, now: int, job_id: str, name: str) -> NewJob:
    """The job of a tick: its place in a queue is that of its nominal time.

    Its ``meta`` says which schedule enqueued it.
    """
    due = tick + template.scheduled_at
    return msgspec.structs.replace(
        template,
        id=job_id,
        state=JobState.SCHEDULED if due > now else JobState.AVAILABLE,
        scheduled_at=due,
        created_at=now,
        expires_at=None if template.expires_at is None else now + template.expires_at,
        meta=meta_of(template, name, tick),
        fresh=True,
    )


def meta_of(template: NewJob, name: str, tick: int | None) -> Mapping[str, Any]:
    """What a job of a schedule carries: whose it is, and of which tick (none: by hand)."""
    own: dict[str, Any] = {**(template.meta or {}), "schedule": name}
    if tick is not None:
        own["tick"] = tick
    return own
