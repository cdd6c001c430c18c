"""Turns in full size on every store: a hundred thousand jobs of one tenant beside others'."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import Longshore
from tests.limits_tools import Hand, check_shares, one_turn, shares
from tests.places import each, place
from tests.worker_tools import eventually

pytestmark = [pytest.mark.timeout(900)]
MANY, CLAIMS, CHUNK = 100_000, 10_000, 100
WEIGHTS = {"a": 1, "small": 1, "middle": 3, "big": 5}


@pytest.fixture(params=each("memory", "sqlite", "postgres18", "mariadb", "redis", "valkey"))
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    with place(request.param, tmp_path) as where:
        app = Longshore(**where.settings)
        try:
            yield app
        finally:
            app.close()


def test_a_hundred_thousand_jobs_of_one_tenant(
    jobs: Longshore, request: pytest.FixtureRequest
) -> None:
    @jobs.job(kind="sync", fair_by="tenant", fair_weight=WEIGHTS)
    def sync(tenant: str, n: int = 0) -> None:
        order.append(tenant)
        pause.wait(0.01)

    order, pause = list[str](), threading.Event()
    for start in range(0, MANY, 10_000):
        jobs.enqueue_many(sync.bind("a", n) for n in range(start, start + 10_000))
    hand = Hand(jobs)
    began = time.monotonic()
    for _ in range(50):
        one_turn(hand, lambda: sync.enqueue("b"))
    turn = (time.monotonic() - began) / 50
    many_of_one_each(jobs, sync, hand)
    for tenant, weight in WEIGHTS.items():
        if tenant != "a":
            jobs.enqueue_many(sync.bind(tenant, n) for n in range(CLAIMS * weight // 8))
    began = time.monotonic()
    off = check_shares(shares(hand, CLAIMS, CHUNK), WEIGHTS)
    took = time.monotonic() - began
    before = a_worker_runs_it_next(jobs, sync, order)
    print(
        f"{request.node.callspec.id}: two late jobs and five claims {turn * 1e3:.0f} ms; weights"
        f" off by {max(map(abs, off.values())):.2%} over {CLAIMS} claims ({took:.0f} s);"
        f" in a worker {statistics.median(before):.0f}, at most {max(before)}, started before it"
    )


def many_of_one_each(jobs: Longshore, sync: Any, hand: Hand) -> None:
    """Two hundred tenants with one job each all come within one round of turns."""
    handles = jobs.enqueue_many(sync.bind(f"t{n}") for n in range(200))
    claimed = {job.id for _ in range(21) for job in hand.claim(10)}
    assert {handle.id for handle in handles} <= claimed


def a_worker_runs_it_next(jobs: Longshore, sync: Any, order: list[str]) -> list[int]:
    """How many of the many start between the enqueue and the start of each of ten late jobs.

    A worker has claimed at most 50 ms of work ahead.
    """
    before: list[int] = []
    with jobs.worker(threads=1).running():
        for _ in range(10):
            _await_more(order, len(order), lambda more: len(more) >= 20)
            seen = len(order)  # it may start before its enqueue returns
            sync.enqueue("b")
            before.append(_await_more(order, seen, lambda more: "b" in more).index("b"))
    assert statistics.median(before) <= 10
    return before


def _await_more(order: list[str], seen: int, enough: Callable[[list[str]], bool]) -> list[str]:
    """What has come after those seen, when it is enough."""
    eventually(lambda: enough(order[seen:]), 30)
    return order[seen:]
