"""Rules of the state machine about schedules: declared, ordered, fired, and fired again."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from longshore.core.schedules import (
    CatchUp,
    Declare,
    Firing,
    Overlap,
    Schedule,
    SetSchedule,
)
from longshore.core.ticks import planned
from longshore.testing.conformance.bench import SECOND
from longshore.testing.machine_parts import Parts, agree
from longshore.testing.worlds import FIELDS

NAMES: Final = st.sampled_from(("hourly", "nightly"))
SCHEDULES: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {
        "name": NAMES,
        "when": st.sampled_from(("every 5 s", "*/10 * * * * *", "* * * * *")),
        "catch_up": st.sampled_from(CatchUp),
        "max_age": st.sampled_from((None, 15 * SECOND)),
        "overlap": st.sampled_from(Overlap),
    }
)
SOME: Final = st.lists(SCHEDULES, min_size=1, max_size=2, unique_by=lambda one: str(one["name"]))


class TickRules(Parts):
    """Declaring and firing, at the first time and again."""

    def __init__(self) -> None:
        super().__init__()
        self.fired: list[Firing] = []
        self.declared: list[Declare] = []

    @initialize(given=SCHEDULES, fields=FIELDS)
    def first_schedule(self, given: dict[str, Any], fields: dict[str, Any]) -> None:
        self.declared.append(Declare("app", (self.schedule(given, fields),), fresh=True))
        self.tell(self.declared[-1])

    @rule(
        app=st.sampled_from(("app", "app", "other")),
        some=st.lists(
            SCHEDULES, min_size=1, max_size=2, unique_by=lambda given: str(given["name"])
        ),
        fields=FIELDS,
        fresh=st.booleans(),
    )
    def declare(
        self, app: str, some: list[dict[str, Any]], fields: dict[str, Any], *, fresh: bool
    ) -> None:
        schedules = tuple(self.schedule(given, fields) for given in some)
        self.declared.append(Declare(app, schedules, fresh))
        self.tell(self.declared[-1])

    @rule()
    def declare_again(self) -> None:
        """Another process of the same code, or the same one after a while."""
        if self.declared:
            self.tell(msgspec.structs.replace(self.declared[-1], fresh=False))

    @rule(
        verb=st.sampled_from(("add", "add", "remove", "pause", "resume", "resume", "reset")),
        given=SCHEDULES,
        fields=FIELDS,
    )
    def order_schedule(self, verb: str, given: dict[str, Any], fields: dict[str, Any]) -> None:
        schedule = self.schedule(given, fields) if verb == "add" else None
        request = SetSchedule(name=given["name"], verb=verb, app="app", schedule=schedule)
        answer = self.bench.do(self.bench.store.set_schedule(request))
        agree(answer, self.model.schedules.set_schedule(request, self.bench.now))
        self.compare()

    @rule(seconds=st.sampled_from((0, 5, 12, 31)))
    def fire(self, seconds: int) -> None:
        """Every schedule that has something to do."""
        if seconds:
            self.go_on(seconds * SECOND)
        plans = [
            planned(record, self.bench.now, lambda: self.bench.new().id)
            for record in self.model.schedules.shown(self.bench.now)
        ]
        firings = [firing for firing in plans if firing is not None]
        self.fired += firings
        self.settle(firings)

    @rule(back=st.integers(1, 4))
    def fire_again(self, back: int) -> None:
        """A reply was lost, or another worker had planned the same."""
        if self.fired:
            self.settle([self.fired[-min(back, len(self.fired))]])

    @rule(name=NAMES)
    def ticks(self, name: str) -> None:
        found = self.bench.do(self.bench.store.ticks(name, limit=1000))
        agree(found, self.model.schedules.told(name)[:1000])

    # --- parts ---

    def tell(self, request: Declare) -> None:
        refused = self.bench.do(self.bench.store.declare(request))
        agree(set(refused), set(self.model.schedules.declare(request, self.bench.now)))
        self.compare()

    def settle(self, firings: list[Firing]) -> None:
        told = self.bench.do(self.bench.store.fire(firings))
        agree(told, self.model.schedules.fire(firings, self.bench.now))
        self.compare()

    def schedule(self, given: dict[str, Any], fields: dict[str, Any]) -> Schedule:
        job = self.made({name: fields[name] for name in ("queue", "priority", "kind", "rules")})
        times = {"scheduled_at": 0, "created_at": 0}
        return Schedule(job=msgspec.structs.replace(job, id="", **times), **given)
