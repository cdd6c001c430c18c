"""A process takes less at once the more of them work on the same store."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest

from longshore import Longshore
from longshore.job import JobFunction
from longshore.worker.buffer import CLAIM, LEAST, Durations
from longshore.worker.shared import Pace
from tests.harbour_tools import Harbour, eventually
from tests.store_tools import register

OTHERS = 199
HOUR = 3_600_000_000

Tiny: TypeAlias = tuple[Longshore, JobFunction[[int], Any, Any]]


@pytest.mark.parametrize(
    ("processes", "portion"), [(1, CLAIM), (8, CLAIM), (40, 100), (200, LEAST), (0, CLAIM)]
)
def test_the_portion_of_each(processes: int, portion: int) -> None:
    durations = Durations()
    assert durations.portion == CLAIM
    durations.among(processes)
    assert durations.portion == portion


def test_who_has_run_nothing_goes_by_what_siblings_know() -> None:
    """It would else ask for one job to each slot, and each of sixty would do that once."""
    shared = Pace.create()
    one, other = Durations(), Durations()
    one.pace, other.pace = Pace(shared), Pace(shared)
    os.close(shared)
    assert (one.room(10), one.brief) == (10, False), "nobody knows"
    other.learn(ended(50))
    assert (one.room(10), one.brief) == (other.room(10), other.brief) == (1010, False)
    one.learn(ended(5))
    assert (one.brief, other.brief) == (True, False), "what one knows itself counts"


def ended(took: int) -> Any:
    """Runs that took so many microseconds each."""
    run = SimpleNamespace(claimed=SimpleNamespace(kind="tiny"), started_at=1, ended_at=1 + took)
    return [(run, None)] * 100


@pytest.fixture(params=["embedded", "supervised"])
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tiny]:
    """A tiny job whose worker runs, in this process or as a program."""
    if request.param == "supervised":
        harbour = Harbour(tmp_path, lease=3)
        try:
            harbour.worker(threads=1)
            harbour.await_ready()
            yield harbour.jobs, harbour.app.count
        finally:
            harbour.stop()
        return
    jobs = Longshore(f"sqlite:///{tmp_path}/jobs.db", lease="3s")

    @jobs.job(kind="tiny")
    def body(n: int) -> int:
        return n

    with jobs.worker(threads=1).running():
        yield jobs, body
    jobs.close()


@pytest.mark.timeout(120)
def test_a_worker_among_many_leaves_jobs_to_others(tiny: Tiny) -> None:
    eventually(lambda: largest(tiny) > CLAIM // 2, 60, "a claim of many")
    for number in range(OTHERS):
        register(tiny[0].store, f"other-{number}", lease=HOUR)
    eventually(lambda: largest(tiny) <= LEAST, 60, "claims of few")


def largest(tiny: Tiny) -> int:
    """How many of many tiny jobs that are stored at once the worker takes in one claim."""
    jobs, body = tiny
    handles = jobs.enqueue_many(body.bind(n) for n in range(2 * CLAIM))
    for handle in handles:
        handle.wait(timeout=30)
    # Jobs of one claim were claimed at one time.
    return max(Counter(handle.record.attempted_at for handle in handles).values())
