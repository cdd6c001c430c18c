"""The thread that fires: in time, once, whatever happens around it; and workers that have it."""

import logging
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from longshore import Event, JobState, Longshore
from longshore.core.model import NewJob
from longshore.core.schedules import Declare, Firing, Outcome, Schedule, SetSchedule
from longshore.core.store import Operation
from longshore.errors import StoreUnavailable
from longshore.stores.clock import ManualClock
from longshore.stores.memory.store import MemoryStore
from longshore.stores.sqlite.store import SQLiteStore
from longshore.worker.ticker import Ticker
from tests.harbour_tools import Harbour
from tests.places import each, place
from tests.worker_tools import eventually

MINUTE = 60_000_000
JOB = NewJob("", "app.job", "default", b"{}", JobState.AVAILABLE, 0, 0, 0)


def schedule(name: str = "s", when: str = "* * * * *", **fields: Any) -> Schedule:
    return Schedule(name=name, when=when, job=JOB, **fields)


class Sleepy(Ticker):
    """A ticker that may be stopped at its worst instant: it has planned, and not yet fired."""

    asleep: tuple[Firing, ...] = ()

    def sleep(self) -> None:
        self._records.clear()
        self._look()
        self.asleep = tuple(self._firings())

    def wake(self) -> list[bool]:
        settled = self._store.run(self._store.fire(self.asleep))
        self.asleep = ()
        return [one.held for one in settled]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_three_workers_and_a_thousand_ticks(kind: str, tmp_path: Path) -> None:
    """One is stopped between its plan and its write for longer than any lease; others go on."""
    clock = ManualClock()
    store: Any = MemoryStore(clock=clock)
    if kind == "sqlite":
        store = SQLiteStore(str(tmp_path / "jobs.db"), clock=clock, synchronous="normal")
        store.migrate()
    told: list[Event] = []
    workers = [Sleepy(store, "app", told.extend) for _ in range(3)]
    for worker in workers:
        worker.declare([schedule()])
        worker.turn()
    chance = Random(3)
    wakes: dict[int, Sleepy] = {}
    minute = 0
    while len(told) < 1000:
        minute += 1
        clock.advance(MINUTE)
        if minute in wakes:
            assert wakes.pop(minute).wake() == [False]
        awake = [worker for worker in workers if worker not in wakes.values()]
        if len(awake) > 1 and chance.random() < 0.3:
            awake[0].sleep()
            wakes[minute + chance.randrange(1, 4)] = awake.pop(0)
        for worker in chance.sample(awake, len(awake)):
            worker._look_at = 0.0
            worker.turn()
    assert Counter(event.name for event in told) == {"schedule.fired": 1000}
    ticks = store.run(store.ticks("s", limit=1000))
    assert [tick.outcome for tick in ticks] == [Outcome.FIRED] * 1000
    jobs = {tick.job_id for tick in ticks}
    assert len(jobs) == 1000 == len(store.run(store.get(sorted(jobs))))
    store.close()


def test_a_store_that_is_away_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    down = threading.Event()

    class Flaky(MemoryStore):
        def run(self, op: Operation[Any], /) -> Any:
            if down.is_set():
                raise StoreUnavailable("it is down")
            return super().run(op)

    store = Flaky(clock=clock)
    told: list[Event] = []
    ticker = Ticker(store, "app", told.extend)
    down.set()
    with caplog.at_level(logging.WARNING, "longshore.worker"):
        ticker.start([schedule(catch_up="all")])
        eventually(lambda: "it is down" in caplog.text)
    down.clear()
    eventually(lambda: store.run(store.schedules()) != ())
    clock.advance(3 * MINUTE)
    ticker._look_at = 0.0
    ticker._wake.set()
    eventually(lambda: len(told) == 3)
    ticker.stop()
    store.close()


def test_a_fault_of_ours_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    calls: list[int] = []

    def tell(_events: tuple[Event, ...]) -> None:
        calls.append(1)
        raise RuntimeError("a listener")

    ticker = Ticker(store, "app", tell)
    ticker.start([schedule(when="* * * * * *")])
    eventually(lambda: len(calls) > 1, 20)
    ticker.stop()
    assert "RuntimeError: a listener" in caplog.text
    store.close()


def test_what_is_of_another_application_is_left_to_it() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    store.run(store.declare(Declare("other", (schedule("theirs"),), fresh=True)))
    store.run(store.set_schedule(SetSchedule(name="all", verb="add", schedule=schedule("all"))))
    told: list[Event] = []
    ticker = Ticker(store, "app", told.extend)
    ticker.declare([schedule("mine"), schedule("theirs")])
    ticker.turn()
    clock.advance(MINUTE)
    ticker._look_at = 0.0
    ticker.turn()
    assert sorted(event.schedule or "" for event in told) == ["all", "mine"]
    store.close()


def test_a_name_that_is_taken_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    store.run(store.declare(Declare("other", (schedule(),), fresh=True)))
    ticker = Ticker(store, "app", lambda _: None)
    for _ in range(3):
        ticker.declare([schedule()])
        ticker.turn()
    assert caplog.text.count("the schedule 's' of app does not fire") == 1
    store.close()


def test_many_that_are_due_at_once_are_settled_in_pieces_by_one_turn() -> None:
    clock = ManualClock()
    pieces: list[int] = []
    looks: list[int] = []

    class Counting(MemoryStore):
        def fire(self, firings: Any) -> Any:
            pieces.append(sum(due.job is not None for one in firings for due in one.ticks))
            return super().fire(firings)

        def schedules(self, names: Any = None) -> Any:
            looks.append(1)
            return super().schedules(names)

    store = Counting(clock=clock)
    told: list[Event] = []
    ticker = Ticker(store, "app", told.extend)
    ticker.declare([schedule(f"s{number}", catch_up="all") for number in range(30)])
    ticker.turn()
    clock.advance(10 * MINUTE)
    ticker._look_at = 0.0
    looks.clear()
    ticker.turn()
    assert sum(pieces) == len(told) == 300
    assert max(pieces) == 100
    # What it settled itself it need not read again.
    clock.advance(MINUTE)
    ticker._ahead = {name: ahead + MINUTE / 1e6 for name, ahead in ticker._ahead.items()}
    ticker.turn()
    assert (len(told), len(looks)) == (330, 1)
    store.close()


class Slow(MemoryStore):
    """A store whose answers are a while under way, and whose clock may be set."""

    late = 0.0
    set_by = 0.0

    def run(self, op: Operation[Any]) -> Any:
        answer = super().run(op)
        if op.name == "schedules":
            threading.Event().wait(self.late)
            answer = [replace(one, now=one.now + int(self.set_by * 1e6)) for one in answer]
        return answer


@pytest.mark.timed
def test_a_slow_answer_makes_no_tick_late() -> None:
    """What an earlier answer said of the store's clock is better than a late one's word."""
    store = Slow()
    ticker = Ticker(store, "app", lambda _: None)

    def look() -> float:
        ticker._look_at = 0.0
        ticker.turn()
        return time.time() - time.monotonic() - ticker._ahead["s"]

    ticker.declare([schedule()])
    store.late = 0.4
    assert look() > 0.3
    assert ticker._look_at - time.monotonic() < 1.1, "it looks again soon"
    store.late = 0.0
    assert abs(look()) < 0.1
    store.late = 0.4
    assert abs(look()) < 0.1
    assert ticker._look_at - time.monotonic() > 5, "what takes long is not asked often"
    # What is set is set: no tick is early, nor late for long.
    store.late, store.set_by = 0.0, -30.0
    assert abs(look() - 30) < 0.1
    store.set_by = 30.0
    assert abs(look() + 30) < 0.1
    store.close()


def test_one_that_cannot_be_read_here_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    for one in (schedule("far", tz="Mars/Olympus"), schedule("new", when="at noon"), schedule()):
        store.run(store.set_schedule(SetSchedule(name=one.name, verb="add", schedule=one)))
    told: list[Event] = []
    ticker = Ticker(store, "app", told.extend)
    ticker.declare([])
    for _ in range(3):
        ticker.turn()
        clock.advance(MINUTE)
        ticker._look_at = 0.0
    assert [event.schedule for event in told] == ["s", "s"]
    assert caplog.text.count("is not fired by this worker") == 2
    assert "the schedule 'far' is not fired by this worker: tz='Mars/Olympus'" in caplog.text
    store.close()


@pytest.fixture
def ticking(tmp_path: Path) -> Iterator[Harbour]:
    harbour = Harbour(tmp_path, 15, name="ticking", TICKING="2")
    harbour.jobs.migrate()
    yield harbour
    harbour.stop()


@pytest.mark.slow
def test_a_worker_fires_what_its_application_declares(ticking: Harbour) -> None:
    """The supervisor fires, and one of its children tells the application."""
    ticking.worker(processes=2)
    jobs = ticking.jobs
    eventually(lambda: jobs.query.filter(state="succeeded").count() >= 4, 30)
    eventually(lambda: "s1" in ticking.ledger.read_text(), 10)
    lines = [line.split() for line in ticking.ledger.read_text().splitlines()]
    assert len({line[2] for line in lines}) == len(lines), "each tick is told once"
    (record, other) = jobs.schedules.list()
    assert (record.name, record.in_code, record.entry.app) == ("s0", True, "ticking")
    assert other.fired > 0
    assert "2 schedules: s0, s1" in ticking.logs()
    assert {job.meta["schedule"] for job in (handle.record for handle in jobs.query)} == {
        "s0",
        "s1",
    }


@pytest.mark.slow
def test_a_worker_without_a_scheduler_fires_nothing(ticking: Harbour) -> None:
    ticking.jobs.schedules.pause("s1")  # which declares them
    ticking.worker("--no-scheduler", "--idle-timeout", "3").wait(30)
    assert [one.fired + one.skipped for one in ticking.jobs.schedules.list()] == [0, 0]
    assert "not fired by this worker" in ticking.logs()


@pytest.mark.timed
@pytest.mark.slow
@pytest.mark.parametrize("kind", each("memory", "sqlite", "postgres18", "mariadb", "valkey"))
def test_an_idle_worker_starts_a_job_right_after_its_tick(kind: str, tmp_path: Path) -> None:
    started: list[float] = []
    with place(kind, tmp_path) as where:
        jobs = Longshore(**where.settings)
        if kind != "memory":
            jobs.migrate()

        @jobs.schedule("* * * * * *", catch_up="none")
        @jobs.job(kind="tick")
        def tick() -> None:
            started.append(time.time() % 1)

        with jobs.worker(threads=2).running():
            eventually(lambda: len(started) >= 5, 30)
        jobs.close()
    # What a machine wastes that has other things to do is its own.
    assert statistics.median(started[1:]) <= 0.1, started


def test_what_cannot_be_declared_keeps_no_other_from_firing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Refusing(MemoryStore):
        def declare(self, request: Declare) -> Operation[tuple[str, ...]]:
            raise ValueError(f"{request.app}: not these")

    store = Refusing()
    store.run(store.set_schedule(added("each", when="* * * * * *")))
    told: list[Event] = []
    ticker = Ticker(store, "app", told.extend)
    ticker.start([schedule("mine")])
    eventually(lambda: told)
    ticker.stop()
    assert {event.schedule for event in told} == {"each"}
    assert "not these" in caplog.text
    store.close()


def test_one_that_was_removed_and_added_comes_as_it_says_now() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    told: list[Event] = []
    ticker = Ticker(store, "app", told.extend)
    store.run(store.set_schedule(added("s", when="0 0 1 1 *")))
    ticker.turn()
    store.run(store.set_schedule(SetSchedule(name="s", verb="remove")))
    clock.advance(1)
    store.run(store.set_schedule(added("s", when="* * * * *")))
    ticker._look_at = 0.0
    ticker.turn()
    clock.advance(2 * MINUTE)
    ticker._look_at = 0.0
    ticker.turn()
    assert [event.name for event in told][-1:] == ["schedule.fired"]
    store.close()


def added(name: str, when: str) -> SetSchedule:
    return SetSchedule(name=name, verb="add", app="app", schedule=schedule(name, when=when))
