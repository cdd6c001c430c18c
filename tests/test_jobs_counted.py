"""What a process counts towards the jobs it is to run: nothing that it gave back unstarted."""

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from longshore import Longshore, Rate
from longshore.core.store import Filter, Rescue
from longshore.worker import embedded
from longshore.worker.beacon import Beacon
from longshore.worker.engine import Engine
from longshore.worker.plan import Plan
from tests.harbour_tools import eventually

JOBS = 3000
HOLDS = 1500


class Held:
    """Many tiny jobs in one slot; one of them holds it, so that what is ready behind waits."""

    def __init__(self, **options: Any) -> None:
        self.jobs = Longshore(store="memory://")
        self.reached, self.go = threading.Event(), threading.Event()
        self.ran: list[int] = []

        @self.jobs.job(kind="tiny", **options)
        def tiny(n: int) -> None:
            self.ran.append(n)
            if n == HOLDS and not self.reached.is_set():
                self.reached.set()
                assert self.go.wait(20)

        for first in range(0, JOBS, 1000):
            self.jobs.enqueue_many(tiny.bind(n) for n in range(first, first + 1000))

    def count(self, state: str) -> int:
        store = self.jobs.client.store
        return sum(one.jobs for one in store.run(store.count(Filter())) if one.state == state)

    def untouched(self) -> bool:
        """Whether only the job that holds the slot is here: the ready ones were given back."""
        return self.count("running") == 1


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    with closing(held.jobs):
        yield held


def test_what_goes_back_when_a_process_drains_was_not_run_by_it(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor is to run the rest of what both may."""
    shared, engines = Beacon.create(), list[Engine]()
    with closing(Beacon(shared)) as beacon:
        os.close(shared)

        def shown(*given: Any) -> Engine:
            engines.append(Engine(*given[:-1], beacon))
            return engines[0]

        monkeypatch.setattr(embedded, "Engine", shown)
        with held.jobs.worker(threads=1).running():
            assert held.reached.wait(20)
            eventually(lambda: held.count("running") > 1, 10, "jobs behind the one that holds")
            engines[0].drain(20)
            eventually(held.untouched, 10, "the return of what waits")
            held.go.set()
        assert beacon.read_head()[2] == len(held.ran) == held.count("succeeded")


def test_what_was_given_back_for_having_waited_is_run_all_the_same(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = HOLDS + 700
    monkeypatch.setattr(embedded, "Plan", partial(Plan, max_jobs=most))
    worker = threading.Thread(target=held.jobs.worker(threads=1).run)
    worker.start()
    try:
        assert held.reached.wait(20)
        eventually(held.untouched, 10, "the return of what waits")
    finally:
        held.go.set()
        worker.join(20)
    assert not worker.is_alive()
    assert held.count("succeeded") == len(held.ran) == most


@pytest.mark.parametrize("options", [{}, {"rate": Rate(1_000_000, per="1s")}], ids=["", "rate"])
def test_who_lost_its_lease_goes_on_and_counts_what_it_has_run(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    most = HOLDS + 700
    held, engines = Held(**options), list[Engine]()
    monkeypatch.setattr(embedded, "Plan", partial(Plan, max_jobs=most))

    def shown(*given: Any) -> Engine:
        engines.append(Engine(*given))
        return engines[0]

    monkeypatch.setattr(embedded, "Engine", shown)
    worker = threading.Thread(target=held.jobs.worker(threads=1).run)
    worker.start()
    try:
        assert held.reached.wait(20)
        first = engines[0].process_id
        store = held.jobs.client.store
        assert len(store.run(store.rescue(Rescue(first))).leases) > 1, "some wait behind it"
        engines[0].lose()
        eventually(lambda: engines[0].process_id != first, 10, "another id")
    finally:
        held.go.set()
        worker.join(20)
    assert not worker.is_alive(), "it has run as many as it is to"
    assert engines[0].room.ended == len(held.ran) == most
    held.jobs.close()
