"""Many who settle the same ticks at the same moment, each over a connection of his own."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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
JOB = NewJob("", "app.job", "default", b"{}", JobState.AVAILABLE, 0, 0, 0)
KINDS = ("sqlite", "postgres16", "postgres18", "pgbouncer", "mariadb", "redis", "valkey")

Together = Callable[[Callable[[Store], Any]], list[Any]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=each(*KINDS))
def stores(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> Iterator[list[Store]]:
    with place(request.param, tmp_path) as where:
        made = [opened(where, clock=clock) for _ in range(4)]
        made[0].migrate()
        yield made
        for store in made:
            store.close()


@pytest.fixture
def together(stores: list[Store]) -> Iterator[Together]:
    """Do something with each store at the same moment."""
    start = threading.Barrier(len(stores))
    with ThreadPoolExecutor(len(stores)) as pool:

        def do(what: Callable[[Store], Any]) -> list[Any]:
            def one(store: Store) -> Any:
                start.wait(30)
                return what(store)

            return list(pool.map(one, stores))

        yield do


def schedule(name: str = "s", when: str = "* * * * *") -> Schedule:
    return Schedule(name=name, when=when, job=JOB)


def test_many_fire_at_once_and_one_does(
    stores: list[Store], clock: ManualClock, together: Together
) -> None:
    store = stores[0]
    names = ("a", "b")
    for name in names:
        store.run(store.set_schedule(SetSchedule(name=name, verb="add", schedule=schedule(name))))
    for _ in range(ROUNDS):
        clock.advance(MINUTE)
        records = store.run(store.schedules())

        def fire(store: Store, records: Any = records) -> list[bool]:
            plans = [planned(record, clock.now(), new_id) for record in records]
            fired = store.run(store.fire([plan for plan in plans if plan is not None]))
            return [one.held for one in fired]

        answers = together(fire)
        assert [sum(held) for held in zip(*answers, strict=True)] == [1, 1]
    jobs = store.run(store.find(Filter(), limit=1000)).records
    ticks = {(job.meta["schedule"], job.meta["tick"]) for job in jobs}
    assert len(jobs) == len(ticks) == ROUNDS * len(names)
    for name in names:
        kept = store.run(store.ticks(name, limit=1000))
        assert [tick.outcome for tick in kept] == [Outcome.FIRED] * ROUNDS
    assert [record.fired for record in store.run(store.schedules())] == [ROUNDS, ROUNDS]


def test_many_declare_the_same_at_once(stores: list[Store], together: Together) -> None:
    for number in range(ROUNDS):
        mine = (schedule("a"), schedule(f"b{number}"))
        request = Declare("app", mine, fresh=True)
        assert together(lambda store, request=request: store.run(store.declare(request))) == [
            (), (), (), ()
        ]  # fmt: skip
    found = stores[0].run(stores[0].schedules())
    assert [record.name for record in found] == sorted(["a", *(f"b{n}" for n in range(ROUNDS))])
    assert {record.revision for record in found} == {1}


def test_a_pause_holds_for_who_fires_at_the_same_moment(
    stores: list[Store], clock: ManualClock, together: Together
) -> None:
    """One of the two comes first; a tick that was due before the pause is caught up after it."""
    store, others = stores[0], stores[1:]
    store.run(store.set_schedule(SetSchedule(name="s", verb="add", schedule=schedule())))
    for _ in range(ROUNDS):
        clock.advance(MINUTE)
        (record,) = store.run(store.schedules())
        plan = planned(record, clock.now(), new_id)
        assert plan is not None

        def act(one: Store, plan: Any = plan) -> bool:
            if one is others[0]:
                one.run(one.set_schedule(SetSchedule(name="s", verb="pause")))
                return False
            return one is store and store.run(store.fire([plan]))[0].held

        fired = any(together(act))
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
