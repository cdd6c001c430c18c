"""The children of a worker claim a few at a time, and none of them keeps the others from it."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.worker.turnstile import FEWEST, LOOKS, MOST, Passage, Place, Turnstile, abreast
from tests.harbour_tools import Harbour, command, eventually

LEASE = 60.0
SHORT = 0.8  # a quarter of it is waited at most

MADE: list[Passage] = []  # and not closed


class Page:
    """Where a child stands, as its supervisor reads it."""

    def __init__(self) -> None:
        self.place = 0

    def stand(self, place: int) -> None:
        self.place = place


class Child:
    """A thread that goes in when it may, and comes out when it is told."""

    def __init__(self, turnstile: Turnstile, lease: float = LEASE) -> None:
        self.page = Page()
        self.passage = passage(turnstile, self.page, lease)
        self.inside, self.out = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)

    def _go(self) -> None:
        with self.passage:
            self.inside.set()
            assert self.out.wait(30)

    def go(self) -> "Child":
        self._thread.start()
        eventually(lambda: self.page.place or self.inside.is_set())
        return self

    def leave(self) -> None:
        self.out.set()
        self._thread.join(30)


@pytest.fixture
def turnstile() -> Iterator[Turnstile]:
    one = Turnstile(2)
    yield one
    one.close()
    while MADE:
        made = MADE.pop()
        made._inner.close()
        made._outer.close()


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
    for child in (*gone, other):
        child.leave()


def test_a_token_that_went_with_one_that_waited_is_replaced(turnstile: Turnstile) -> None:
    for _ in range(2):
        passage(turnstile, Page(), LEASE)._inner.recv(1)
    waiting = Child(turnstile).go()
    for _ in range(2 * LOOKS):
        turnstile.look([waiting.page.place])
    assert not waiting.inside.wait(0.2), "nobody has died who could have had one"
    turnstile.died(Place.WAITING)
    turnstile.look([Place.INSIDE, waiting.page.place])
    for _ in range(LOOKS - 1):
        turnstile.look([waiting.page.place])
    assert not waiting.inside.wait(0.2), "it may be on its way"
    turnstile.look([Place.OUTSIDE, waiting.page.place])
    assert waiting.inside.wait(5)
    again = Child(turnstile).go()
    for _ in range(2 * LOOKS):
        turnstile.look([waiting.page.place, again.page.place])
        turnstile.look([Place.WAITING])
    assert not again.inside.wait(0.2), "one has died, and one was put in"
    waiting.leave()
    again.leave()


def test_who_is_to_end_waits_no_more_and_takes_no_token_from_others(turnstile: Turnstile) -> None:
    kept = full(turnstile)
    leaving, other = Child(turnstile).go(), Child(turnstile).go()
    leaving.passage.hurry()
    leaving.passage.hurry()
    assert leaving.inside.wait(5)
    leaving.leave()
    late = Child(turnstile)
    late.passage.hurry()
    assert late.go().inside.wait(5)
    late.leave()
    assert not other.inside.wait(0.2)
    for child in (*kept, other):
        child.leave()


@pytest.mark.parametrize(
    ("processes", "mine", "callers"), [(64, 64, 16), (70, 64, 22), (3, 3, 2), (2, 1, 2), (1, 4, 2)]
)
def test_those_in_line_ask_for_more_than_if_all_asked(
    turnstile: Turnstile, processes: int, mine: int, callers: int
) -> None:
    assert turnstile.callers(processes, mine) == callers


def test_there_are_as_many_tokens_as_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    for processors, tokens in ((None, FEWEST), (1, FEWEST), (4, 4), (96, MOST)):
        monkeypatch.setattr(os, "cpu_count", lambda seen=processors: seen)
        assert abreast() == tokens


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
            # Descriptors of a turnstile only where some have to wait.
            given = command(child).partition("longshore.programs.child ")[2].split()
            assert len(given) == (5 if more else 3)
        for child in children[:-1]:
            os.kill(child.pid, signal.SIGKILL)
            handles = [harbour.app.count.enqueue(number) for number in range(50)]
            began = time.monotonic()
            for handle in handles:
                handle.result(timeout=30)
            assert time.monotonic() - began < 10
    finally:
        harbour.stop()
