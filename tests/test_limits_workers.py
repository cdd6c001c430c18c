"""Limits while real workers on one SQLite file are stopped, continued and killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from longshore import JobState
from longshore.core.model import Why
from tests.harbour_tools import Harbour, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
LEASE = 3


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Harbour]:
    made = Harbour(tmp_path, lease=LEASE)
    try:
        yield made
    finally:
        made.stop()


class Watcher:
    """Looks how many jobs of a kind have an owner, as fast as the store answers."""

    def __init__(self, harbour: Harbour) -> None:
        self.most, self.looks = 0, 0
        self._query = harbour.jobs.query.filter(kind="alone", state="running")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.005):
            self.most = max(self.most, self._query.count())
            self.looks += 1


def starts(harbour: Harbour, job_id: str) -> list[list[str]]:
    return [line for line in harbour.lines() if line[2:4] == ["start", job_id]]


def test_a_limit_of_one_has_one_owner_whatever_happens_to_workers(harbour: Harbour) -> None:
    alone = harbour.app.alone
    for _ in range(2):
        harbour.worker(threads=2)
    harbour.await_ready(2)
    with Watcher(harbour) as watcher:
        # Longer than three leases, while the other worker asks for the next all the time.
        long = alone.enqueue(3.3 * LEASE)
        rest = [alone.enqueue(0.2) for _ in range(3)]
        long.wait(timeout=60)
        assert len(starts(harbour, long.id)) == 1
        for handle in rest:
            handle.wait(timeout=20)
        # The child is killed under it: its supervisor gives the slot back at once.
        killed = alone.enqueue(0.5)
        next_one = alone.enqueue(0.1)
        eventually(lambda: starts(harbour, killed.id))
        os.kill(int(starts(harbour, killed.id)[0][1]), signal.SIGKILL)
        began = time.monotonic()
        killed.wait(timeout=20)
        next_one.wait(timeout=20)
        assert time.monotonic() - began < 10
        assert [run.why for run in killed.refresh().runs] == [Why.INTERRUPTED]
        # Stopped for longer than its lease, supervisor and all, and continued.
        stopped = alone.enqueue(1.0)
        eventually(lambda: starts(harbour, stopped.id))
        pid = int(starts(harbour, stopped.id)[0][1])
        worker = next(
            one for one in harbour.workers if pid in [child.pid for child in harbour.children(one)]
        )
        family = [worker.pid, *(child.pid for child in harbour.children(worker))]
        for member in family:
            os.kill(member, signal.SIGSTOP)
        frozen = time.monotonic()
        eventually(lambda: len(starts(harbour, stopped.id)) == 2, 20, "the other takes it")
        assert time.monotonic() - frozen <= 1.5 * LEASE + 3
        for member in reversed(family):
            os.kill(member, signal.SIGCONT)
        stopped.wait(timeout=20)
        handles = [alone.enqueue(0.05) for _ in range(5)]
        for handle in handles:
            handle.wait(timeout=30)
    assert watcher.looks > 100
    assert watcher.most == 1
    assert {handle.refresh().state for handle in (long, *rest, killed, stopped, *handles)} == {
        JobState.SUCCEEDED
    }
    assert all(record.used == record.blocked == 0 for record in harbour.jobs.limits.list())


def test_a_child_that_dies_under_a_job_that_runs_at_most_once(harbour: Harbour) -> None:
    harbour.worker()
    handle = harbour.app.once.enqueue()
    handle.wait(timeout=40)
    assert (handle.state, handle.record.reason) == (JobState.DEAD, "interrupted")
    assert [run.why for run in handle.runs] == [Why.INTERRUPTED]
    assert len(starts(harbour, handle.id)) == 1
    eventually(lambda: f"once {handle.id} attempt 1 interrupted, dead: it runs" in harbour.logs())


def test_a_killed_process_tells_of_a_job_that_runs_at_most_once(harbour: Harbour) -> None:
    harbour.worker()
    handle = harbour.app.nap.using(at_most_once=True).enqueue(30)
    eventually(lambda: starts(harbour, handle.id))
    os.kill(int(starts(harbour, handle.id)[0][1]), signal.SIGKILL)
    handle.wait(timeout=20)
    assert (handle.state, handle.record.reason) == (JobState.DEAD, "interrupted")
    eventually(lambda: f"nap {handle.id} is dead: its process died" in harbour.logs())
