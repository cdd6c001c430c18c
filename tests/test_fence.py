"""Before its lease ends a process fences itself; what is still its own afterwards counts.

The store is one in this process that can be away: no server is needed to be cut off from it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Self

import pytest

from longshore import CONTEXT, Concurrency, JobContext, JobState, Longshore
from longshore.core.model import Why
from longshore.core.store import Operation, Rescue
from longshore.errors import StoreUnavailable
from longshore.worker.patience import Guard
from longshore.worker.vigil import Vigil
from tests.worker_tools import eventually

pytestmark = pytest.mark.slow

LEASE = 3.0


class Away:
    """Between an application and its store: while ``gone``, no call arrives."""

    def __init__(self, jobs: Longshore) -> None:
        self.gone = False
        self.asked: Counter[str] = Counter()
        self.real = jobs.store.run
        jobs.store.run = self.run  # type: ignore[method-assign, assignment]

    def run(self, op: Operation[Any], /) -> Any:
        self.asked[op.name] += 1
        if self.gone:
            raise StoreUnavailable("no route to host")
        return self.real(op)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.gone = False


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://", lease=LEASE)
    yield app
    app.close()


class Pier:
    """Bodies that wait for a word, and what they saw."""

    def __init__(self, jobs: Longshore) -> None:
        self.free = threading.Event()
        self.started: Counter[str] = Counter()
        self.lost: dict[str, bool] = {}

        def rest(name: str, ctx: JobContext) -> None:
            self.started[name] += 1
            while not self.free.wait(0.01):
                self.lost[name] = ctx.lost

        @jobs.job(kind="plain")
        def plain(ctx: JobContext = CONTEXT) -> str:
            rest("plain", ctx)
            return "done"

        @jobs.job(kind="alone", concurrency=Concurrency(to=1))
        def alone(ctx: JobContext = CONTEXT) -> str:
            rest("alone", ctx)
            return "done"

        @jobs.job(kind="once", at_most_once=True)
        def once(ctx: JobContext = CONTEXT) -> str:
            rest("once", ctx)
            return "done"

        self.plain, self.alone, self.once = plain, alone, once

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.free.set()


@pytest.mark.timed
def test_an_outage_longer_than_the_lease_brings_no_second_run(jobs: Longshore) -> None:
    pier, away = Pier(jobs), Away(jobs)
    plain, alone, once = pier.plain.enqueue(), pier.alone.enqueue(), pier.once.enqueue()
    with jobs.worker(threads=4).running(), pier, away:
        eventually(lambda: len(pier.started) == 3)
        assert not any(pier.lost.values())
        away.gone = True
        began = time.monotonic()
        eventually(lambda: pier.lost.get("plain"), 30)
        assert time.monotonic() - began < LEASE, "told before the lease has ended"
        quiet = away.asked["claim"] + away.asked["finish"] + away.asked["exchange"]
        # Two that must not overlap have ended, at least here; the other goes on.
        eventually(lambda: time.monotonic() - began > LEASE + 0.2, 30)
        assert away.asked["claim"] + away.asked["finish"] + away.asked["exchange"] == quiet
        assert pier.lost["plain"]
        away.gone = False
        eventually(lambda: not pier.lost["plain"], 30)
        pier.free.set()
        assert plain.result(timeout=30) == "done"
        assert alone.result(timeout=30) == "done"
        eventually(lambda: once.refresh().state is JobState.DEAD, 30)
    assert (pier.started["plain"], plain.refresh().record.run) == (1, 1)
    assert (pier.started["alone"], alone.refresh().record.run) == (2, 2)
    assert [run.why for run in alone.record.runs] == [Why.RELEASED]
    assert (pier.started["once"], once.record.reason) == (1, "interrupted")


def test_what_others_took_meanwhile_is_dropped_and_named(
    jobs: Longshore, caplog: pytest.LogCaptureFixture
) -> None:
    pier, away = Pier(jobs), Away(jobs)
    plain = pier.plain.enqueue()
    with jobs.worker(threads=1).running(), pier, away:
        eventually(lambda: pier.started["plain"] == 1)
        away.gone = True
        eventually(lambda: len(away.real(jobs.store.rescue(Rescue())).leases) == 1, 30)
        away.gone = False
        eventually(lambda: f"run elsewhere: plain {plain.id}" in caplog.text, 30)
        pier.free.set()
        assert plain.result(timeout=30) == "done"
        eventually(lambda: "was refused" in caplog.text or pier.started["plain"] == 2, 30)
    record = plain.refresh().record
    assert (record.state, record.run) == (JobState.SUCCEEDED, 2)
    assert [run.why for run in record.runs] == [Why.INTERRUPTED]


def test_a_blocked_event_loop_is_named(jobs: Longshore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "longshore.worker")
    free = threading.Event()

    @jobs.job(kind="careless")
    async def careless() -> None:
        free.wait(30)

    @jobs.job(kind="innocent")
    async def innocent() -> int:
        return 1

    handle = careless.enqueue()
    with jobs.worker(threads=4).running():
        try:
            eventually(lambda: f"job {handle.id} (careless)" in caplog.text)
        finally:
            free.set()
        assert innocent.enqueue().result(timeout=20) == 1
        assert "event loop blocked for" in caplog.text
        assert "test_fence.py:" in caplog.text
        eventually(lambda: "the event loop goes on" in caplog.text)
    assert caplog.text.count("event loop blocked for") == 1
    assert handle.refresh().record.run == 1


# --- the parts ------------------------------------------------------------------------------------


def test_who_rescues_waits_after_an_outage() -> None:
    guard = Guard(interval=5, gap=1.5)
    guard.begin(100)
    assert guard.ready_in(100) == 0
    guard.heard(101)
    guard.failed(102)
    assert guard.ready_in(102) == 5
    guard.failed(110)
    guard.heard(111)
    assert guard.ready_in(111) == 5, "others may have heard nothing yet"
    guard.heard(115)
    assert guard.ready_in(115) == 1
    guard.heard(116)
    assert guard.ready_in(116) == 0


def test_having_been_away_oneself_is_an_outage_too() -> None:
    guard = Guard(interval=1, gap=1.5)
    guard.begin(100)
    guard.heard(101.4)
    assert guard.ready_in(101.4) == 0
    assert guard.ready_in(110) == 1, "nobody knows yet"
    guard.heard(110)
    assert guard.ready_in(110) == 1
    guard.heard(111)
    assert guard.ready_in(111) == 0


class Signs:
    def __init__(self) -> None:
        self.turns = self.ticks = 0

    def read_signs(self) -> tuple[int, int]:
        return self.turns, self.ticks


class Watched:
    """A vigil over a child of which every sign is given, half a second after half a second."""

    def __init__(self) -> None:
        self.vigil, self.signs, self.now = Vigil(3.0), Signs(), 100.0
        self.said: list[str] = []

    def pass_time(self, seconds: float, *, turns: bool, ticks: bool, answers: bool = True) -> None:
        for _ in range(int(seconds * 2)):
            self.now += 0.5
            self.signs.turns += turns
            self.signs.ticks += ticks
            why = self.vigil.look(self.signs, 1, self.now, store_answers=answers)
            self.said += [why] if why else []


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    pids: set[int] = set()
    monkeypatch.setattr("longshore.worker.vigil.is_stopped", pids.__contains__)
    return pids


def test_a_child_that_turns_is_left_alone(stopped: set[int]) -> None:
    child = Watched()
    child.pass_time(10, turns=True, ticks=True)
    assert (child.said, child.vigil.doubt) == ([], None)


def test_a_store_thread_that_does_not_turn_while_others_do_is_stuck(stopped: set[int]) -> None:
    child = Watched()
    child.pass_time(2, turns=True, ticks=True)
    child.pass_time(2, turns=False, ticks=True)
    assert child.said == []
    assert child.vigil.doubt == "does not turn its store thread"
    child.pass_time(1, turns=False, ticks=True)
    assert child.said == ["does not turn its store thread, for 3.0 s"]


def test_a_store_thread_that_waits_for_a_store_that_is_away_is_not_stuck(
    stopped: set[int],
) -> None:
    child = Watched()
    child.pass_time(10, turns=False, ticks=True, answers=False)
    assert (child.said, child.vigil.doubt) == ([], None)


def test_a_child_whose_interpreter_is_held_is_not_stuck(stopped: set[int]) -> None:
    child = Watched()
    child.pass_time(2, turns=True, ticks=True)
    child.pass_time(60, turns=False, ticks=False)
    assert (child.said, child.vigil.doubt) == ([], None)
    # It goes on: what did not turn meanwhile has had no time to.
    child.pass_time(1, turns=False, ticks=True)
    assert child.said == []


def test_a_stopped_child_is_stuck(stopped: set[int]) -> None:
    child = Watched()
    child.pass_time(2, turns=True, ticks=True)
    stopped.add(1)
    child.pass_time(2.5, turns=False, ticks=False)
    assert child.said == []
    assert child.vigil.doubt == "is stopped"
    child.pass_time(0.5, turns=False, ticks=False)
    assert child.said == ["is stopped, for 3.0 s"]


def test_who_was_stopped_too_looks_anew(stopped: set[int]) -> None:
    child = Watched()
    child.pass_time(2, turns=True, ticks=True)
    stopped.add(1)
    child.now += 60
    child.pass_time(2, turns=False, ticks=False)
    assert child.said == []
    stopped.clear()
    child.pass_time(2, turns=True, ticks=True)
    assert (child.said, child.vigil.doubt) == ([], None)
