"""What keeps leases alive goes on whatever else is slow or away."""

import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from longshore.core.store import ClaimRequest, Operation, ProcessBeat, Rescued
from longshore.errors import StoreUnavailable
from longshore.stores.memory.store import MemoryStore
from longshore.worker.heart import Heart
from tests.harbour_tools import eventually
from tests.store_tools import EVERYTHING, job, register


class Watched(MemoryStore):
    """A store that notes what it was asked for, and may hang or be away."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.free = threading.Event()
        self.free.set()
        self.away = False

    def run(self, op: Operation[Any], /) -> Any:
        self.asked.append(op.name)
        if op.name == "rescue":
            assert self.free.wait(20)
        if self.away:
            raise StoreUnavailable("no route to host")
        return super().run(op)


def heart_of(store: Watched) -> Heart:
    register(store)
    return Heart(store, 3, lambda: (ProcessBeat("p", 0),), lambda orders: None)


def between_renewals(heart: Heart, number: int) -> list[float]:
    """Seconds between so many renewals."""
    at: list[float] = []
    heart.renewed = lambda asked, _lost: at.append(asked)
    heart.start()
    try:
        eventually(lambda: len(at) >= number)
    finally:
        heart.stop()
    return [later - earlier for earlier, later in pairwise(at)]


def test_leases_are_renewed_while_a_rescue_hangs() -> None:
    store = Watched()
    store.free.clear()
    heart = heart_of(store)
    heart.start()
    try:
        eventually(lambda: "rescue" in store.asked)
        before = store.asked.count("beat")
        eventually(lambda: store.asked.count("beat") >= before + 2)
        assert store.asked.count("rescue") == 1
        assert heart.healthy
    finally:
        store.free.set()
        heart.stop()


@pytest.mark.timed
def test_a_lease_is_renewed_as_soon_as_a_third_of_it_has_passed() -> None:
    """Who rescues waits that long for the living: a beat later they are taken for dead."""
    gaps = between_renewals(heart_of(Watched()), 4)
    assert min(gaps) >= 3 / 3
    assert sorted(gaps)[1] < 3 / 3 + 0.5


@pytest.mark.timed
def test_a_renewal_that_a_slow_beat_has_passed_over_comes_at_once() -> None:
    """The beat before it, which only listens, ends when it was due already."""

    class Slow(Watched):
        def run(self, op: Operation[Any], /) -> Any:
            if op.name == "beat":
                threading.Event().wait(0.35)
            return super().run(op)

    gaps = sorted(between_renewals(heart_of(Slow()), 5))
    assert gaps[-2] < 3 / 3 + 0.35 + 0.2


def test_a_heart_without_anybody_to_beat_for_does_not_spin() -> None:
    asked: list[float] = []

    def nobody() -> tuple[ProcessBeat, ...]:
        asked.append(time.monotonic())
        return ()

    heart = Heart(Watched(), 3, nobody, lambda orders: None)
    heart.start()
    try:
        deadline = time.monotonic() + 2.5  # a renewal was due after one second
        eventually(lambda: time.monotonic() > deadline)
    finally:
        heart.stop()
    # A beat a second; looks after the store, each of which asks twice at most.
    assert len(asked) < 100


def test_nothing_is_rescued_before_what_is_ours_was_renewed() -> None:
    store = Watched()
    heart = heart_of(store)
    store.away = True
    heart.start()
    try:
        eventually(lambda: not heart.healthy)
        store.asked.clear()
        eventually(lambda: store.asked.count("beat") >= 2)
        assert "rescue" not in store.asked
        store.away = False
        eventually(lambda: "rescue" in store.asked)
        renewed = store.asked.index("rescue")
        assert "beat" in store.asked[:renewed]
        assert heart.healthy
    finally:
        heart.stop()


def test_after_an_outage_others_are_given_a_renewal_interval_before_a_rescue() -> None:
    store = Watched()
    heart = heart_of(store)
    heart.start()
    try:
        eventually(lambda: "rescue" in store.asked)
        store.away = True
        store.asked.clear()
        eventually(lambda: "beat" in store.asked)
        store.asked.clear()
        store.away = False
        back = time.monotonic()
        eventually(lambda: "rescue" in store.asked)
        assert time.monotonic() - back >= 3 / 3 - 0.1
    finally:
        heart.stop()


@pytest.mark.timed
def test_who_rescues_gives_others_time_for_one_more_renewal() -> None:
    store = Watched()
    register(store)
    register(store, "gone", lease=1_000_000)
    store.run(store.insert([job()]))
    assert store.run(store.claim(ClaimRequest("gone", 1, 1, EVERYTHING))).jobs
    eventually(lambda: min(each.lease_left for each in store.run(store.processes())) < 0)
    told: list[Rescued] = []
    heart = Heart(store, 3, lambda: (ProcessBeat("p", 0),), lambda orders: None, told.append)
    heart.start()
    try:
        began = time.monotonic()
        eventually(lambda: told, 20)
        took = time.monotonic() - began
    finally:
        heart.stop()
    assert len(told[0].leases) == 1
    # A look that finds it, a renewal interval, a look that gives the job back.
    assert 1.1 * 3 / 3 <= took < 1.1 * 3 / 3 + 2 * 3 / 15 + 0.3
