"""Many who settle the same ticks at the same moment, each over a connection of his own.

The tests of each store call these; ``stores`` is a fixture made by :func:`stores_on`.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longshore.core.model import JobState, NewJob
from longshore.core.schedules import Declare, Outcome, Schedule, SetSchedule
from longshore.core.store import Filter, Store
from longshore.core.ticks import planned
from longshore.ids import new_id
from longshore.stores.clock import ManualClock
from tests.places import each, place
from tests.stores import opened

MINUTE = 60_000_000
ROUNDS = 25
WORKERS = 4
JOB = NewJob("", "app.job", "default", b"{}", JobState.AVAILABLE, 0, 0, 0)


class Crew:
    """Four stores in one place, by one clock, and a thread for each."""

    def __init__(self, stores: list[Store], clock: ManualClock, pool: ThreadPoolExecutor) -> None:
        self.stores = stores
        self.clock = clock
        self._pool = pool
        self._start = threading.Barrier(len(stores))

    def together(self, what: Callable[[Store], Any]) -> list[Any]:
        """Do something with each store at the same moment."""

        def one(store: Store) -> Any:
            self._start.wait(30)
            return what(store)

        return list(self._pool.map(one, self.stores))


def crews_on(*kinds: str) -> Any:
    """A fixture: a crew on each of these kinds of store."""

    @pytest.fixture(params=each(*kinds))
    def crew(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Crew]:
        clock = ManualClock()
        with place(request.param, tmp_path) as where, ThreadPoolExecutor(WORKERS) as pool:
            stores = [opened(where, clock=clock) for _ in range(WORKERS)]
            stores[0].migrate()
            yield Crew(stores, clock, pool)
            for store in stores:
                store.close()

    return crew


def schedule(name: str = "s", when: str = "* * * * *") -> Schedule:
    return Schedule(name=name, when=when, job=JOB)


def add(store: Store, name: str) -> None:
    store.run(store.set_schedule(SetSchedule(name=name, verb="add", schedule=schedule(name))))


def many_fire(crew: Crew) -> None:
    """Each tick is fired by one of them, and has one job."""
    store, clock, names = crew.stores[0], crew.clock, ("a", "b")
    for name in names:
        add(store, name)
    for _ in range(ROUNDS):
        clock.advance(MINUTE)
        records = store.run(store.schedules())

        def fire(store: Store, records: Any = records) -> list[bool]:
            plans = [planned(record, clock.now(), new_id) for record in records]
            fired = store.run(store.fire([plan for plan in plans if plan is not None]))
            return [one.held for one in fired]

        answers = crew.together(fire)
        assert [sum(held) for held in zip(*answers, strict=True)] == [1, 1]
    jobs = store.run(store.find(Filter(), limit=1000)).records
    ticks = {(job.meta["schedule"], job.meta["tick"]) for job in jobs}
    assert len(jobs) == len(ticks) == ROUNDS * len(names)
    for name in names:
        kept = store.run(store.ticks(name, limit=1000))
        assert [tick.outcome for tick in kept] == [Outcome.FIRED] * ROUNDS
    assert [record.fired for record in store.run(store.schedules())] == [ROUNDS, ROUNDS]


def many_declare(crew: Crew) -> None:
    """What all of them declare at the same moment is there once."""
    for number in range(ROUNDS):
        mine = (schedule("a"), schedule(f"b{number}"))
        request = Declare("app", mine, fresh=True)
        answers = crew.together(lambda store, request=request: store.run(store.declare(request)))
        assert answers == [()] * WORKERS
    found = crew.stores[0].run(crew.stores[0].schedules())
    assert [record.name for record in found] == sorted(["a", *(f"b{n}" for n in range(ROUNDS))])
    assert {record.revision - record.entry.created_at for record in found} == {0}


def one_pauses(crew: Crew) -> None:
    """Who fires and who pauses: one comes first. What was due before is caught up afterwards."""
    clock, (store, other, *_) = crew.clock, crew.stores
    add(store, "s")
    for _ in range(ROUNDS):
        clock.advance(MINUTE)
        (record,) = store.run(store.schedules())
        plan = planned(record, clock.now(), new_id)
        assert plan is not None

        def act(one: Store, plan: Any = plan) -> bool:
            if one is other:
                one.run(one.set_schedule(SetSchedule(name="s", verb="pause")))
            return one is store and store.run(store.fire([plan]))[0].held

        fired = any(crew.together(act))
        (record,) = store.run(store.schedules())
        assert record.paused
        assert (planned(record, clock.now(), new_id) is None) is fired
        store.run(store.set_schedule(SetSchedule(name="s", verb="resume")))
        (record,) = store.run(store.schedules())
        left = planned(record, clock.now(), new_id)
        assert (left is None) is fired
        if left is not None:
            assert store.run(store.fire([left]))[0].held
    jobs = store.run(store.find(Filter(), limit=1000)).records
    kept = store.run(store.ticks("s", limit=1000))
    assert [tick.outcome for tick in kept] == [Outcome.FIRED] * ROUNDS
    assert {job.id for job in jobs} == {tick.job_id for tick in kept}


def one_edits(crew: Crew) -> None:
    """An edit of the code beside a firing takes nothing of it back."""
    clock, (store, other, *_) = crew.clock, crew.stores
    store.run(store.declare(Declare("app", (schedule(),), fresh=True)))
    for number in range(2 * ROUNDS):
        clock.advance(MINUTE)
        (record,) = store.run(store.schedules())
        plan = planned(record, clock.now(), new_id)
        edited = msgspec.structs.replace(
            schedule(), job=msgspec.structs.replace(JOB, queue=f"queue-{number}")
        )

        def act(one: Store, plan: Any = plan, edited: Schedule = edited) -> None:
            if one is other:
                one.run(one.declare(Declare("app", (edited,), fresh=True)))
            elif one is store and plan is not None:
                one.run(one.fire([plan]))

        crew.together(act)
        (record,) = store.run(store.schedules())
        assert record.schedule.job.queue == f"queue-{number}"
        left = planned(record, clock.now(), new_id)
        if left is not None:
            assert store.run(store.fire([left]))[0].held
    jobs = store.run(store.find(Filter(), limit=1000)).records
    assert len(jobs) == len({job.meta["tick"] for job in jobs}) == 2 * ROUNDS
