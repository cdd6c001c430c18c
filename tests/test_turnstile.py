"""The children of a worker claim a few at a time, and none of them keeps the others from it."""

import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from longshore import Longshore, StoreBusy
from longshore.worker import turnstile as module
from longshore.worker.shared import Pace
from longshore.worker.turnstile import (
    FEWEST,
    LOOK_EVERY,
    LOOKS,
    MOST,
    SLICE,
    Passage,
    Place,
    Turnstile,
    abreast,
)
from tests.harbour_tools import Harbour, command, eventually

LEASE = 60.0
SHORT = 0.8  # a quarter of it is waited at most

MADE: list[Passage] = []  # and not closed


class Page:
    """Where a child stands, as its supervisor reads it."""

    def __init__(self) -> None:
        self.place = 0
        self.stood: list[int] = []

    def stand(self, place: int) -> None:
        self.place = place
        self.stood.append(place)


class Child:
    """A thread that goes in when it may, and comes out when it is told."""

    def __init__(self, turnstile: Turnstile, lease: float = LEASE) -> None:
        self.page = Page()
        self.passage = passage(turnstile, self.page, lease)
        self.inside, self.out = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)

    def _go(self) -> None:
        while not self.passage.enter():
            if self.out.is_set():  # as one that is told to end
                break
        else:
            self.inside.set()
            assert self.out.wait(30)
        self.passage.leave()

    def go(self) -> "Child":
        self._thread.start()
        eventually(lambda: self.page.place or self.inside.is_set())
        return self

    def leave(self) -> None:
        self.out.set()
        self._thread.join(30)
        assert not self.passage.waits


@pytest.fixture
def turnstile() -> Iterator[Turnstile]:
    one = Turnstile(2)
    yield one
    one.close()
    while MADE:
        MADE.pop().close()


def passage(turnstile: Turnstile, page: Page, lease: float) -> Passage:
    inner, outer = turnstile.descriptors
    MADE.append(Passage(os.dup(inner), os.dup(outer), page, lease))
    return MADE[-1]


def full(turnstile: Turnstile) -> tuple[Child, Child]:
    """Two that are inside."""
    first, second = Child(turnstile).go(), Child(turnstile).go()
    assert first.inside.wait(5)
    assert second.inside.wait(5)
    return first, second


def test_as_many_go_in_as_there_are_tokens_and_who_came_first_follows(turnstile: Turnstile) -> None:
    first, second = full(turnstile)
    waiting = [Child(turnstile).go() for _ in range(4)]
    time.sleep(0.2)
    assert not any(child.inside.is_set() for child in waiting)
    assert [child.page.place for child in (first, *waiting)] == [
        Place.INSIDE,
        *[Place.WAITING] * 4,
    ]
    leaving = [first, second, *waiting]
    for child, follower in zip(leaving, waiting, strict=False):
        child.leave()
        assert child.page.place == Place.OUTSIDE
        assert follower.inside.wait(5)
    for child in waiting:
        child.leave()
    for child in full(turnstile):
        child.leave()


def test_who_waits_for_long_goes_in_without_a_token(turnstile: Turnstile) -> None:
    kept = full(turnstile)
    began = time.monotonic()
    hasty = Child(turnstile, SHORT).go()
    assert hasty.inside.wait(5)
    assert 0.15 < time.monotonic() - began < 2
    assert hasty.page.place == Place.OUTSIDE
    hasty.leave()
    other = Child(turnstile).go()
    assert not other.inside.wait(0.2), "it had none to give back"
    for child in (*kept, other):
        child.leave()


def test_the_token_of_one_that_died_inside_is_put_back(turnstile: Turnstile) -> None:
    gone = full(turnstile)
    turnstile.died(Place.OUTSIDE)
    other = Child(turnstile).go()
    assert not other.inside.wait(0.2)
    turnstile.died(Place.INSIDE)
    assert other.inside.wait(5)
    another = Child(turnstile).go()
    turnstile.died(Place.WAITING)
    assert not another.inside.wait(0.2)
    turnstile.died(Place.LEAVING)
    assert another.inside.wait(5)
    for child in (*gone, other, another):
        child.leave()


def test_a_token_that_went_with_one_that_waited_is_replaced(turnstile: Turnstile) -> None:
    lost = passage(turnstile, Page(), LEASE)
    assert lost.enter()
    first = Child(turnstile).go()
    assert first.inside.wait(5)
    second = Child(turnstile).go()
    for look in range(LOOKS - 1):
        for _ in range(3):  # of several in a moment one counts
            turnstile.look([first.page.place, second.page.place], LOOK_EVERY * look)
    assert not second.inside.wait(0.2), "it may be on its way"
    turnstile.look([first.page.place, second.page.place], LOOK_EVERY * LOOKS)
    assert second.inside.wait(5)
    third = Child(turnstile).go()
    for look in range(2 * LOOKS):
        inside = Place.INSIDE if look % LOOKS == 5 else Place.OUTSIDE
        places = [first.page.place, inside, third.page.place]
        turnstile.look(places, LOOK_EVERY * (LOOKS + 1 + look))
    assert not third.inside.wait(0.2), "all are there, if not at each look"
    for child in (first, second, third):
        child.leave()


def test_one_that_is_stopped_in_line_brings_no_tokens(turnstile: Turnstile) -> None:
    stopped = Place.WAITING
    for look in range(3 * LOOKS):
        turnstile.look([stopped, Place.OUTSIDE], LOOK_EVERY * (1 + look))
    kept = full(turnstile)
    late = Child(turnstile).go()
    assert not late.inside.wait(0.2)
    for child in (*kept, late):
        child.leave()


def test_where_nobody_stands_there_are_as_many_as_there_should_be(turnstile: Turnstile) -> None:
    turnstile.died(Place.INSIDE)  # it had given its token back, but not said so
    kept = [Child(turnstile).go() for _ in range(3)]
    assert all(child.inside.wait(5) for child in kept)
    for child in kept:
        child.leave()
    turnstile.look([Place.OUTSIDE] * 3, 1.0)
    kept = list(full(turnstile))
    late = Child(turnstile).go()
    assert not late.inside.wait(0.2)
    for child in kept:
        child.leave()
    assert late.inside.wait(5)
    late.leave()
    for child in full(turnstile):
        child.leave()


def test_who_is_to_end_waits_no_more_and_takes_no_token_from_others(turnstile: Turnstile) -> None:
    kept = full(turnstile)
    leaving, other = Child(turnstile).go(), Child(turnstile).go()
    began = time.monotonic()
    leaving.leave()
    assert time.monotonic() - began < 5 * SLICE
    assert leaving.page.place == Place.OUTSIDE
    assert not other.inside.wait(0.2)
    for child in (*kept, other):
        child.leave()
    for child in full(turnstile):
        child.leave()


def test_the_default_timeout_of_an_application_changes_nothing() -> None:
    socket.setdefaulttimeout(0.01)
    try:
        turnstile = Turnstile(1)
        inner, outer = turnstile.descriptors
        one = Passage(os.dup(inner), os.dup(outer), Page(), LEASE)
        other = Passage(os.dup(inner), os.dup(outer), Page(), LEASE)
        assert one.enter()
        assert not other.enter()
        assert not other.enter()
        one.leave()
        assert other.enter()
        for end in (one, other, turnstile):
            end.close()
    finally:
        socket.setdefaulttimeout(None)


def test_who_is_inside_may_claim_again_for_a_stretch(
    turnstile: Turnstile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STRETCH", 0.5)
    monkeypatch.setattr(module, "COURTESY", 1.0)
    first, second = (passage(turnstile, Page(), LEASE) for _ in range(2))
    third = Child(turnstile)
    assert first.enter()
    assert second.enter()
    third.go()
    assert first.enter(), "it has a token"
    assert not first.waits
    assert 0 < first.left(time.monotonic()) <= 0.5
    first.leave(back=True)
    assert not third.inside.is_set()
    eventually(lambda: not first.left(time.monotonic()))
    assert not first.enter(), "who has waited comes first, though it asks in the same breath"
    assert third.inside.is_set()
    second.leave(back=False)
    assert first.enter()
    third.leave()
    first.leave()
    assert first.left(time.monotonic()) == math.inf
    assert not first.enter(hurry=True), "it has just gone out"
    assert first.enter(hurry=True)
    first.leave()


class Line:
    """An engine in line before a memory store, and who else stands there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float, jobs: int) -> None:
        monkeypatch.setattr(module, "STRETCH", 60.0)
        self.app = Longshore("memory://")
        self.page, self.claims = Page(), 0
        #: Called before each claim with its number.
        self.before: Callable[[int], None] = lambda _number: None

        @self.app.job(kind="brief")
        def brief() -> None:
            if seconds:
                time.sleep(seconds)

        turnstile = Turnstile(1)
        inner, outer = turnstile.descriptors
        mine = Passage(os.dup(inner), os.dup(outer), self.page, LEASE)
        self.other = Passage(os.dup(inner), os.dup(outer), Page(), LEASE)
        self._ends = (mine, self.other, turnstile)
        self.worker = self.app.worker(threads=2)
        self.engine = self.worker._engine(until_empty=False)
        self.engine.passage = mine
        monkeypatch.setattr(self.worker, "_engine", lambda **_: self.engine)
        run = self.app.store.run

        def counted(op: Any) -> Any:
            if op.name in ("claim", "exchange"):
                self.claims += 1
                self.before(self.claims)
            return run(op)

        monkeypatch.setattr(self.app.store, "run", counted)
        self.app.enqueue_many(brief.bind() for _ in range(jobs))

    def left(self) -> int:
        return self.app.query.filter(state=("available", "running")).count()

    def close(self) -> None:
        for end in self._ends:
            end.close()
        self.app.close()


def test_who_claims_tiny_jobs_goes_in_once_for_many_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, 0, 10_000)
    with line.worker.running():
        eventually(lambda: not line.left())
        assert line.claims >= 10
        assert line.page.stood.count(Place.INSIDE) < line.claims / 2
        # There is nothing left to claim: whoever comes may go in.
        eventually(line.other.enter)
    line.close()


def test_who_has_claimed_longer_jobs_lets_others_go_in(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, 0.005, 4_000)
    with line.worker.running():
        eventually(lambda: line.claims > 5)
        eventually(lambda: line.other.enter() and not line.other.waits)
        assert line.left() > 1_000, "it had to wait until all were claimed"
        line.other.leave()
    line.close()


@pytest.mark.parametrize("what", ["failed", "quiet", "drained"])
def test_who_will_not_claim_for_a_while_lets_others_go_in(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(monkeypatch, 0, 10_000)

    def stop(number: int) -> None:
        if number < 5:
            return
        if what == "failed":
            time.sleep(0.2)  # until what was claimed before has ended, which would wake it
            raise StoreBusy("as long as this test lasts")
        if what == "quiet":
            line.engine.quiet(on=True)
        else:
            line.engine.drain(5)

    line.before = stop
    with line.worker.running():
        eventually(lambda: line.claims >= 5)
        eventually(lambda: line.other.enter() and not line.other.waits)
        assert line.claims <= 6, "it kept its token while it waited for the store"
        assert line.left() > 1_000
        line.other.leave()
        line.before = lambda _number: None
    line.close()


@pytest.mark.parametrize("told", ["drain", "quiet", "nothing", "idle"])
def test_who_is_told_to_stop_while_it_waits_claims_nothing(
    told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And reports what has ended while it waits."""
    jobs = Longshore("memory://")
    begun, go = threading.Event(), threading.Event()

    @jobs.job(kind="slow")
    def slow() -> None:
        begun.set()
        assert go.wait(30)

    turnstile = Turnstile(1)
    inner, outer = turnstile.descriptors
    other = Passage(os.dup(inner), os.dup(outer), Page(), LEASE)
    mine = Passage(os.dup(inner), os.dup(outer), Page(), LEASE)
    worker = jobs.worker(threads=2)
    engine = worker._engine(until_empty=False)
    if told == "idle":  # it is not, while there is work for which it waits
        engine._plan = msgspec.structs.replace(engine._plan, idle_timeout=0.5)
    engine.passage = mine
    monkeypatch.setattr(worker, "_engine", lambda **_: engine)
    first = slow.enqueue()
    with worker.running():
        assert begun.wait(10)
        eventually(other.enter)
        second = slow.enqueue()
        eventually(lambda: mine.waits)
        go.set()
        first.wait(timeout=10)
        assert second.state == "available", "others claim"
        if told == "drain":
            engine.drain(5)
        elif told == "quiet":
            engine.quiet(on=True)
        if told == "idle":
            time.sleep(1)
            assert mine.waits
        elif told != "nothing":
            eventually(lambda: not mine.waits)
        other.leave()
        if told in ("nothing", "idle"):
            second.wait(timeout=10)
        else:
            time.sleep(0.3)
            assert second.state == "available"
    for end in (mine, other, turnstile):
        end.close()
    jobs.close()


@pytest.mark.parametrize(
    ("processes", "mine", "callers"), [(64, 64, 8), (70, 64, 14), (3, 3, 2), (2, 1, 2), (1, 4, 2)]
)
def test_those_in_line_ask_for_more_than_if_all_asked(
    turnstile: Turnstile, processes: int, mine: int, callers: int
) -> None:
    assert turnstile.callers(processes, mine) == callers
    assert Turnstile(0).callers(processes, mine) == processes


def test_there_are_as_many_tokens_as_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    for processors, tokens in ((None, FEWEST), (1, FEWEST), (4, 4), (96, MOST)):
        monkeypatch.setattr(os, "cpu_count", lambda seen=processors: seen)
        assert abreast() == tokens


def given(child: psutil.Process) -> list[str]:
    """The descriptors that a child was given."""
    return command(child).partition("longshore.programs.child ")[2].split()


@pytest.mark.timeout(120)
def test_what_a_child_has_run_is_known_to_its_siblings(tmp_path: Path) -> None:
    harbour = Harbour(tmp_path)
    try:
        worker = harbour.worker(processes=abreast() + 1, threads=1)
        harbour.await_ready(abreast() + 1)
        child, *others = harbour.children(worker)
        for number in range(10):
            harbour.app.count.enqueue(number).result(timeout=30)
        paces = [f"/proc/{each.pid}/fd/{given(each)[5]}" for each in (child, *others)]
        assert hear(paces[0]), "how long jobs take, microseconds"
        eventually(lambda: len({hear(path) for path in paces}) == 1)
    finally:
        harbour.stop()


def hear(path: str) -> float | None:
    """What is said in the memory behind this descriptor of another process."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        return Pace(descriptor).hear()
    finally:
        os.close(descriptor)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("more", [0, 2])
def test_children_that_die_while_they_claim_keep_no_others_from_it(
    tmp_path: Path, more: int
) -> None:
    harbour = Harbour(tmp_path, lease=15)
    try:
        worker = harbour.worker(processes=abreast() + more, threads=1)
        harbour.await_ready(abreast() + more)
        children = harbour.children(worker)
        assert len(children) == abreast() + more
        for child in children:
            # Descriptors of a turnstile, and of what they share, only where some have to wait.
            assert len(given(child)) == (6 if more else 3)
        for child in children[:-1]:
            os.kill(child.pid, signal.SIGKILL)
            handles = [harbour.app.count.enqueue(number) for number in range(50)]
            began = time.monotonic()
            for handle in handles:
                handle.result(timeout=30)
            assert time.monotonic() - began < 10
    finally:
        harbour.stop()
