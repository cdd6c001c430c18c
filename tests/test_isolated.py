"""Processes of one job each: how they begin, crash, are stopped and end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from longshore import JobState
from tests.harbour_tools import Harbour, command, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def harbour(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Harbour]:
    made = Harbour(tmp_path, name="solitary", **getattr(request, "param", {}))
    try:
        yield made
    finally:
        made.stop()


def alone(harbour: Harbour) -> list[psutil.Process]:
    """The processes for one job that there are."""
    family = psutil.Process(harbour.workers[0].pid).children(recursive=True)
    return [one for one in family if "isolated_child" in command(one)]


def told(harbour: Harbour, word: str) -> int:
    return sum(word in line for line in harbour.lines())


def test_a_crash_is_seen_although_what_it_forked_off_lives(harbour: Harbour) -> None:
    harbour.worker(threads=1)
    handle = harbour.app.leaves.enqueue()
    assert handle.result(timeout=20) == "again"
    assert [run.why for run in handle.refresh().runs] == ["interrupted"]


def test_a_body_that_is_cancelled_cleans_up(harbour: Harbour) -> None:
    harbour.worker(threads=1)
    handle = harbour.app.cleans.enqueue()
    eventually(lambda: told(harbour, "cleans"))
    handle.cancel()
    handle.wait(timeout=20)
    assert handle.state is JobState.CANCELLED
    assert told(harbour, "cleaned") == 1


def test_a_body_cleans_up_when_its_worker_stops(harbour: Harbour) -> None:
    worker = harbour.worker("--shutdown-timeout", "0.1s", threads=1)
    handle = harbour.app.cleans.enqueue()
    eventually(lambda: told(harbour, "cleans"))
    worker.send_signal(signal.SIGTERM)
    worker.wait(20)
    assert handle.refresh().state is JobState.AVAILABLE
    assert told(harbour, "cleaned") == 1


@pytest.mark.parametrize("harbour", [{"SOLITARY_BOOT": "1.5"}], indirect=True)
def test_the_time_of_a_body_is_not_spent_on_its_process(harbour: Harbour) -> None:
    harbour.worker(threads=2)
    handles = [harbour.app.short.enqueue() for _ in range(3)]
    assert [one.result(timeout=40) for one in handles] == ["in time"] * 3


def test_what_a_body_prints_and_does_at_exit_is_done(harbour: Harbour) -> None:
    harbour.worker(threads=1)
    handles = [harbour.app.prints.enqueue() for _ in range(4)]
    for handle in handles:
        handle.wait(timeout=40)
    eventually(lambda: harbour.logs().count("printed by") == 4)
    eventually(lambda: told(harbour, "over") == 4)


def test_a_spare_that_died_is_not_given_a_job(harbour: Harbour) -> None:
    harbour.worker(threads=1)
    first = harbour.app.once.enqueue().result(timeout=40)
    eventually(lambda: [one for one in alone(harbour) if one.pid != first], what="a spare")
    eventually(lambda: len(alone(harbour)) == 1, what="the end of the first")
    (spare,) = alone(harbour)
    os.kill(spare.pid, signal.SIGKILL)
    handle = harbour.app.once.enqueue()
    assert handle.result(timeout=40) != spare.pid
    assert (handle.refresh().state, handle.record.interruptions) == (JobState.SUCCEEDED, 0)


def test_a_start_is_told_once(harbour: Harbour) -> None:
    harbour.worker(threads=1)
    handle = harbour.app.once.enqueue()
    body = handle.result(timeout=40)
    assert [line[1] for line in harbour.lines() if line[2] == "started"] != [str(body)]
    assert told(harbour, handle.id) == 1
