"""Acts of schedules: they are declared and edited, their ticks settled by whoever comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

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

APPS: Final = ("app", "other")
NAMES: Final = ("hourly", "nightly", "sweep", "weekly")
WHENS: Final = ("every 10 s", "every 15 s", "*/20 * * * * *", "* * * * *")


class Ticking(Playing):
    """Declaring, ordering, firing."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._fired: list[Firing] = []

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
        random, name = self.random, self.random.choice((*NAMES, "by hand"))
        verb = random.choice(("add", "add", "remove", "pause", "pause", "resume", "reset"))
        schedule = self.schedule(name) if verb == "add" else None
        request = SetSchedule(name=name, verb=verb, app="app", schedule=schedule, reason="why")
        answer: Answer = self.ask("set_schedule", request)
        self.met[f"schedule {verb}"] += answer is Answer.DONE
        self.met["schedule in code"] += answer is Answer.IN_CODE

    def schedules(self) -> None:
        names = self.random.choice((None, NAMES[:2], (*NAMES[1:3], "unknown")))
        shown: Sequence[ScheduleRecord] = self.ask("schedules", names)
        self.met["schedule retired"] += any(record.retired for record in shown)

    def ticks(self) -> None:
        name = self.random.choice((*NAMES, "by hand"))
        self.met["tick shown"] += bool(
            self.ask("ticks", name, limit=self.random.choice((3, 1000)))
        )

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
        return Schedule(
            name=name,
            when=random.choice(WHENS),
            job=job,
            catch_up=random.choice(tuple(CatchUp)),
            max_age=random.choice((None, 30 * SECOND)),
            overlap=random.choice(tuple(Overlap)),
        )
