"""A worker on Redis that has nothing to do is handed the next job by the script that stores it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import JobState, Longshore
from longshore.stores.redis.store import RedisStore
from tests import redis_tools
from tests.harbour_tools import Harbour
from tests.places import Place
from tests.redis_tools import PLENTY

pytestmark = pytest.mark.servers
where = redis_tools.where


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was handed to workers of this process."""
    words: list[bytes] = []
    hand = RedisStore.hand

    def noted(store: RedisStore, word: bytes) -> None:
        words.append(word)
        hand(store, word)

    monkeypatch.setattr(RedisStore, "hand", noted)
    return words


@pytest.fixture
def app(where: Place) -> Iterator[Longshore]:
    """Workers that look by themselves so seldom that a job nobody is told of is late."""
    jobs = Longshore(where.url, prefix=where.prefix, poll_interval="9s")

    @jobs.job(kind="double")
    def double(n: int) -> int:
        return 2 * n

    vars(jobs)["double"] = double
    yield jobs
    jobs.close()


def took(app: Any, n: int) -> float:
    """How long one job takes, from its enqueueing to its result."""
    began = time.monotonic()
    handle = app.double.enqueue(n)
    assert handle.result(timeout=PLENTY) == 2 * n
    assert handle.refresh().record.run == 1
    return time.monotonic() - began


def test_an_idle_worker_is_handed_the_next_job(app: Any, handed: list[bytes]) -> None:
    with app.worker(threads=2).running():
        for n in range(20):
            took(app, n)
    # Whether the worker waits again by then is a race, which it hardly ever loses.
    assert len(handed) >= 5


def test_workers_of_one_program_are_handed_their_own(app: Any, handed: list[bytes]) -> None:
    """They share a store: what one of them hears is never meant for another."""
    with app.worker(threads=1).running(), app.worker(threads=1).running():
        times = sorted(took(app, n) for n in range(40))
    assert handed
    # A word may be lost while both begin to listen; then looking is what helps.
    assert times[36] < 5


@pytest.mark.slow
def test_a_quiet_worker_is_handed_nothing(where: Place, tmp_path: Path) -> None:
    harbour = Harbour(tmp_path, 15, **where.environment)
    try:
        quiet = harbour.worker("--name", "quiet")
        harbour.await_ready()
        assert harbour.app.nap.enqueue(0.0).wait(PLENTY).state is JobState.SUCCEEDED
        quiet.send_signal(signal.SIGTSTP)
        harbour.worker("--name", "other")
        harbour.await_ready(2)
        # What it was handed before it heard of the order it still runs.
        handles = [harbour.app.nap.enqueue(0.0) for _ in range(5)]
        for handle in handles:
            assert handle.wait(PLENTY).state is JobState.SUCCEEDED
            assert handle.refresh().record.run == 1
    finally:
        harbour.stop()
