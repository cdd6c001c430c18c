"""Limits while real workers on one SQLite file are stopped, continued and killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore import JobState
from longshore.core.model import Why
from tests.harbour_tools import Harbour, eventually
from tests.owners_tools import LEASE, Lives, churn, limited
from tests.unique_tools import Contest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Harbour]:
    made = Harbour(tmp_path, lease=LEASE)
    try:
        yield made
    finally:
        made.stop()


def test_a_limit_of_one_has_one_owner_whatever_happens_to_workers(tmp_path: Path) -> None:
    with limited("sqlite", tmp_path) as harbour:
        Lives(harbour).live()


def test_a_key_is_free_after_its_jobs_whoever_was_killed(tmp_path: Path) -> None:
    with limited("sqlite", tmp_path) as harbour:
        churn(harbour, 200, kills=2)


def test_a_unique_job_has_one_holder_whoever_is_killed(tmp_path: Path) -> None:
    with limited("sqlite", tmp_path) as harbour:
        contest = Contest(harbour, enqueuers=2)
        try:
            contest.run(12, kill_every=5)
        finally:
            contest.stop()


def test_a_child_that_dies_under_a_job_that_runs_at_most_once(harbour: Harbour) -> None:
    harbour.worker()
    handle = harbour.app.once.enqueue()
    handle.wait(timeout=40)
    assert (handle.state, handle.record.reason) == (JobState.DEAD, "interrupted")
    assert [run.why for run in handle.runs] == [Why.INTERRUPTED]
    assert len(harbour.starts(handle.id)) == 1
    eventually(lambda: f"once {handle.id} attempt 1 interrupted, dead: it runs" in harbour.logs())


def test_a_killed_process_tells_of_a_job_that_runs_at_most_once(harbour: Harbour) -> None:
    harbour.worker()
    handle = harbour.app.nap.using(at_most_once=True).enqueue(30)
    eventually(lambda: harbour.starts(handle.id))
    os.kill(int(harbour.starts(handle.id)[0][1]), signal.SIGKILL)
    handle.wait(timeout=20)
    assert (handle.state, handle.record.reason) == (JobState.DEAD, "interrupted")
    eventually(lambda: f"nap {handle.id} is dead: its process died" in harbour.logs())
