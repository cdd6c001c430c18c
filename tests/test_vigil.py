"""Real workers whose children stop, hang or lose their lease: they are replaced in time.

Nothing runs twice that need not.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from longshore import JobState
from longshore.core.interruptions import AFTER_END
from longshore.core.model import Why
from longshore.worker import door
from tests.harbour_tools import Harbour, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

LEASE = 3.0
NAME = f"vigil-{os.getpid()}"


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Harbour]:
    made = Harbour(tmp_path, lease=LEASE)
    try:
        yield made
    finally:
        made.stop()


def is_live() -> bool:
    report = door.ask(NAME, "health")
    return report is not None and report.live


def has_ended(process: psutil.Process) -> bool:
    """Whether it is over, also where nobody has asked yet how it ended."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def start_of(harbour: Harbour, job_id: str | None, run: int = 1) -> list[str]:
    """The line of the ledger that a body wrote as it started."""
    found: list[list[str]] = []

    def started() -> bool:
        lines = [line for line in harbour.lines() if line[2:5] == ["start", job_id, str(run)]]
        found.extend(lines[:1])
        return bool(lines)

    eventually(started, 40, f"run {run} of job {job_id}")
    return found[0]


def test_a_stopped_child_is_replaced(harbour: Harbour) -> None:
    handle = harbour.app.nap.enqueue(1.0)
    harbour.worker("--name", NAME, threads=1)
    child = int(start_of(harbour, handle.id)[1])
    assert is_live()
    os.kill(child, signal.SIGSTOP)
    stopped = time.monotonic()
    eventually(lambda: not is_live(), 20, "saying that a child is stuck")
    again = start_of(harbour, handle.id, 2)
    assert float(again[0]) - stopped > LEASE - 1, "it was given time to go on"
    handle.wait(timeout=30)
    record = handle.record
    assert (record.state, record.run) == (JobState.SUCCEEDED, 2)
    assert [run.why for run in record.runs] == [Why.INTERRUPTED]
    assert not psutil.pid_exists(child)
    assert f"child {child} is stopped" in harbour.logs()
    eventually(is_live, 20, "being live again")


def test_a_child_whose_store_thread_hangs_is_replaced(harbour: Harbour) -> None:
    handle = harbour.app.jam.enqueue()
    harbour.worker("--name", NAME, threads=1)
    start_of(harbour, handle.id)
    eventually(lambda: not is_live(), 20, "saying that a child is stuck")
    handle.wait(timeout=30)
    record = handle.record
    assert (record.state, record.run) == (JobState.SUCCEEDED, 2)
    assert [run.message for run in record.runs] == [AFTER_END], "its body was over"
    assert "does not turn its store thread" in harbour.logs()


def test_who_holds_the_interpreter_or_the_loop_is_not_stuck(harbour: Harbour) -> None:
    seconds = 2 * LEASE + 0.5
    jobs = [harbour.app.hold.enqueue(seconds), harbour.app.block.enqueue(seconds)]
    harbour.worker("--name", NAME, processes=2, threads=1)
    for handle in jobs:
        start_of(harbour, handle.id)
    eventually(lambda: f"by job {jobs[1].id} (block)" in harbour.logs(), 20, "a warning")
    assert jobs[1].refresh().state is JobState.RUNNING
    for handle in jobs:
        handle.wait(timeout=40)
        assert (handle.record.state, handle.record.run) == (JobState.SUCCEEDED, 1)
        assert len(harbour.starts(handle.id)) == 1
    assert "killed and replaced" not in harbour.logs()


@pytest.mark.timed
def test_after_an_outage_only_what_must_not_overlap_runs_again(harbour: Harbour) -> None:
    """Nobody can write for longer than a lease: another process holds the file's lock."""
    nap, alone = harbour.app.nap.enqueue(LEASE + 2), harbour.app.alone.enqueue(60)
    harbour.worker("--name", NAME, processes=2, threads=1)
    child = int(start_of(harbour, alone.id)[1])
    other = int(start_of(harbour, nap.id)[1])
    with closing(sqlite3.connect(harbour.folder / "harbour.db", isolation_level=None)) as lock:
        lock.execute("pragma busy_timeout = 20000")
        lock.execute("begin immediate")
        locked = time.monotonic()
        eventually(lambda: not psutil.pid_exists(child), 30, "the end of the one with a slot")
        assert time.monotonic() - locked < LEASE + 0.5, "before others may have its job"
        eventually(lambda: time.monotonic() - locked > LEASE + 0.3, 30)
        lock.execute("rollback")
    assert "must not run elsewhere at once" in harbour.logs()
    for handle in (nap, alone):
        handle.wait(timeout=40)
        assert handle.record.state is JobState.SUCCEEDED
    assert (nap.record.run, len(harbour.starts(nap.id))) == (1, 1)
    assert psutil.pid_exists(other)
    assert alone.record.run == 2
    assert [run.why for run in alone.record.runs] == [Why.INTERRUPTED]


def test_an_orphan_without_a_store_ends_with_its_lease(harbour: Harbour) -> None:
    handle = harbour.app.strand.enqueue()
    worker = harbour.worker("--name", NAME, threads=1)
    start_of(harbour, handle.id)
    children = harbour.children(worker)
    worker.kill()
    worker.wait()
    eventually(lambda: all(map(has_ended, children)), 1.2 * LEASE, "the end of the orphans")
    assert "ends with all it runs" in harbour.logs()
