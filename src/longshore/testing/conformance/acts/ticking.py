"""Acts of schedules: they are declared and edited, their ticks settled by whoever comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from longshore.core.limits import Hold, Rules
from longshore.core.schedules import (
    Answer,
    CatchUp,
    Declare,
    Due,
    Fired,
    Firing,
    Outcome,
    Overlap,
    Schedule,
    ScheduleRecord,
    SetSchedule,
)
from longshore.core.ticks import HELD, OVERLAP, planned
from longshore.testing.conformance.acts.playing import Playing
from longshore.testing.conformance.bench import SECOND
from longshore.testing.conformance.making import KINDS

APPS: Final = ("app", "other")
NAMES: Final = ("hourly", "nightly", "sweep", "weekly")
WHENS: Final = ("every 10 s", "every 15 s", "*/20 * * * * *", "* * * * *")
#: What people order, in another order each time.
VERBS: Final = (
    *("add",) * 4,
    *("remove", "remove", "remove", "pause", "pause", "resume", "resume", "reset", "reset"),
)


class Ticking(Playing):
    """Declaring, ordering, firing."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._fired: list[Firing] = []
        self._verbs: list[str] = []

    def declare(self) -> None:
        """A process of one application says what its code has."""
        random = self.random
        names = random.sample(NAMES, random.choice((1, 2, 3)))
        schedules = tuple(self.schedule(name) for name in names)
        request = Declare(random.choice((*APPS[:1], *APPS)), schedules, random.random() < 0.5)
        refused: Sequence[str] = self.ask("declare", request)
        self.met["name refused"] += bool(refused)

    def set_schedule(self) -> None:
        """A person's order."""
        random = self.random
        if not self._verbs:
            self._verbs = random.sample(VERBS, len(VERBS))
        verb = self._verbs.pop()
        name = random.choice((*NAMES, "by hand", "by hand"))
        there: Sequence[ScheduleRecord] = self.look("schedules")
        if verb == "remove" and random.random() < 0.5:
            there = [record for record in there if record.retired or not record.in_code]
        if verb != "add" and there and random.random() < 0.8:
            name = random.choice(there).name
        schedule = self.schedule(name) if verb == "add" else None
        request = SetSchedule(name=name, verb=verb, app="app", schedule=schedule, reason="why")
        answer: Answer = self.ask("set_schedule", request)
        self.met[f"schedule {verb}"] += answer is Answer.DONE
        self.met["schedule in code"] += answer is Answer.IN_CODE

    def schedules(self) -> None:
        self.show(self.random.choice((None, NAMES[:2], (*NAMES[1:3], "unknown"))))

    def show(self, names: Sequence[str] | None) -> None:
        """Compare schedules as people see them."""
        shown: Sequence[ScheduleRecord] = self.ask("schedules", names)
        self.met["schedule retired"] += any(record.retired for record in shown)

    def ticks(self) -> None:
        name = self.random.choice((*NAMES, "by hand"))
        self.met["tick shown"] += bool(self.ask("ticks", name, limit=self.random.choice((3, 1000))))

    def fire(self) -> None:
        """What is due, now and then what was fired before or is not due yet."""
        random = self.random
        if random.random() < 0.5:
            self.advance(random.choice((7, 13, 33)) * SECOND)
        firings = [found for found in map(self.plan, self.some_due()) if found is not None]
        if self._fired and (not firings or random.random() < 0.3):
            old = random.choice(self._fired[-5:])
            firings = [*(one for one in firings if one.name != old.name), old]
        elif firings and random.random() < 0.15:
            last = firings[-1]
            ahead = Due(self.now + SECOND, Outcome.MISSED, "ahead of its time")
            firings[-1] = msgspec.structs.replace(last, ticks=(*last.ticks, ahead))
        told: Sequence[Fired] = self.ask("fire", firings)
        for firing, fired in zip(firings, told, strict=True):
            again = firing in self._fired
            self.met["firing refused"] += not fired.held
            self.met["firing again"] += fired.held and again
            if fired.held and not again:
                self._fired.append(firing)
                self.note(firing, fired)
        if firings and random.random() < 0.5:
            self.ask("ticks", firings[-1].name, limit=1000)

    def note(self, firing: Firing, fired: Fired) -> None:
        """Count what became of ticks, and keep in mind their jobs."""
        for tick in fired.ticks:
            self.met[f"tick {tick.outcome}"] += 1
            self.met["tick overlaps"] += tick.why == OVERLAP
            self.met["tick held"] += tick.why == HELD
            if tick.outcome is Outcome.FIRED and tick.job_id is not None:
                self.follow[tick.job_id] = None
        for due in firing.ticks:
            if due.job is not None and due.job.expires_at is not None:
                self.expiries.add(due.job.expires_at)

    def some_due(self) -> Sequence[ScheduleRecord]:
        """Schedules that a worker looks at."""
        found: Sequence[ScheduleRecord] = self.look("schedules")
        lively = [record for record in found if not (record.paused or record.retired)]
        found = self.random.choice((lively, lively, found))
        return self.random.sample(found, min(len(found), 3))

    def plan(self, record: ScheduleRecord) -> Firing | None:
        """What a worker finds to do for a schedule."""
        return planned(record, self.now, self.new_id)

    def schedule(self, name: str) -> Schedule:
        """A schedule as code or a person has it this time."""
        random = self.random
        later = {"scheduled_at": 5 * SECOND} if random.random() < 0.2 else {"scheduled_at": 0}
        expires = {"expires_at": 25 * SECOND + 3} if random.random() < 0.2 else {}
        job = msgspec.structs.replace(self.new(**later, **expires), id="", created_at=0)
        if job.kind in KINDS and random.random() < 0.7:
            # So that some ticks find the key held by the job of another.
            rules = msgspec.structs.replace(job.rules or Rules(), hold=Hold("False-0"))
            job = msgspec.structs.replace(job, rules=rules)
        return Schedule(
            name=name,
            when=random.choice(WHENS),
            job=job,
            catch_up=random.choice(tuple(CatchUp)),
            max_age=random.choice((None, 30 * SECOND)),
            overlap=random.choice(tuple(Overlap)),
        )
