"""Faults around a supervisor and its children that no application should ever notice."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from longshore import JobState, supervise
from longshore.core.model import Why
from longshore.worker import door
from longshore.worker.options import WorkerOptions
from tests.harbour_tools import APPS, Harbour, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


@pytest.fixture
def harbour(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Harbour]:
    made = Harbour(tmp_path, lease=getattr(request, "param", 15))
    try:
        yield made
    finally:
        made.stop()


def noted(harbour: Harbour, word: str) -> list[list[str]]:
    return [line for line in harbour.lines() if line[2] == word]


def state_of(name: str) -> str | None:
    report = door.ask(name, "health")
    return None if report is None else report.state


def joined(harbour: Harbour) -> set[int]:
    store = harbour.jobs.store
    return {process.pid for process in store.run(store.processes())}


def used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@pytest.mark.timed
def test_a_child_that_boots_slowly_joins_although_jobs_are_parked(harbour: Harbour) -> None:
    """Its first order may be one meant for working children; nor is it waited for busily."""
    harbour.jobs.push({"kind": "nobody.knows"})
    harbour.env["HARBOUR_BOOT"] = "2"
    worker = harbour.worker(processes=2)
    harbour.await_ready(2)
    eventually(lambda: harbour.jobs.query.first().record.parked is not None, 20)
    victim, other = (child.pid for child in harbour.children(worker))
    before = used(psutil.Process(worker.pid))
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(joined(harbour) - {victim, other}) == 1, 20, "a new child joining")
    assert used(psutil.Process(worker.pid)) - before < 1.0
    assert "exit code 0" not in harbour.logs()


def test_a_body_that_forks_and_returns_twice(harbour: Harbour) -> None:
    handles = [harbour.app.fork.enqueue() for _ in range(3)]
    harbour.jobs.enqueue_many(harbour.app.count.bind(n) for n in range(300))
    worker = harbour.worker("--until-empty", threads=2)
    assert worker.wait(timeout=60) == 0, harbour.logs()
    counted = Counter(int(line[3]) for line in noted(harbour, "count"))
    assert counted == Counter(range(300))
    copies = [handle.result(timeout=5) for handle in handles]
    assert all(copies), "the end of the job itself was stored, not that of its copy"
    eventually(lambda: not any(map(psutil.pid_exists, copies)), 10, "the copies ending")


def test_a_long_job_among_thousands_of_short_ones_was_seen_to_start(harbour: Harbour) -> None:
    handle = harbour.app.nap.enqueue(120)
    worker = harbour.worker(threads=2)
    eventually(lambda: noted(harbour, "start"), 30)
    harbour.jobs.enqueue_many(harbour.app.count.bind(n) for n in range(5000))
    done = harbour.jobs.query.filter(state="succeeded")
    eventually(lambda: done.count() == 5000, 60, "the short ones")
    (child,) = harbour.children(worker)
    child.kill()
    eventually(lambda: handle.refresh().runs, 20, "its recovery")
    assert [run.why for run in handle.runs] == [Why.INTERRUPTED]


def test_term_after_hup_ends_the_worker(harbour: Harbour) -> None:
    harbour.app.nap.enqueue(1.5)
    worker = harbour.worker()
    eventually(lambda: noted(harbour, "start"), 30)
    worker.send_signal(signal.SIGHUP)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0
    assert harbour.logs().count("slots") == 1, "it did not start anew"


@pytest.mark.parametrize(("times", "code"), [(1, 0), (2, 130)])
def test_interrupts_are_counted_from_the_first_one(harbour: Harbour, times: int, code: int) -> None:
    """What drains already, after a HUP, is not what Ctrl-C has told to end."""
    handle = harbour.app.nap.enqueue(8)
    worker = harbour.worker("--name", harbour.folder.name)
    eventually(lambda: noted(harbour, "start"), 30)
    worker.send_signal(signal.SIGHUP)
    eventually(lambda: state_of(harbour.folder.name) == "draining", 30, "the drain")
    for _ in range(times):
        worker.send_signal(signal.SIGINT)
        threading.Event().wait(0.3)  # two that wait to be heard are one
    assert worker.wait(timeout=20) == code, harbour.logs()
    assert harbour.logs().count("slots") == 1, "it did not start anew"
    ended = JobState.SUCCEEDED if times == 1 else JobState.AVAILABLE
    assert handle.refresh().state is ended


@pytest.mark.parametrize("harbour", [3], indirect=True)
def test_orphans_end_before_their_lease(harbour: Harbour) -> None:
    handle = harbour.app.nap.enqueue(60)
    worker = harbour.worker("--shutdown-timeout", "25")
    eventually(lambda: noted(harbour, "start"), 30)
    children = harbour.children(worker)
    worker.kill()
    worker.wait()
    _, alive = psutil.wait_procs(children, timeout=1.2 * 3)
    assert alive == []
    assert handle.refresh().state is JobState.AVAILABLE, "it went back without waiting for anybody"


def test_a_child_that_is_told_to_end_is_replaced(harbour: Harbour) -> None:
    worker = harbour.worker()
    harbour.await_ready()
    before = joined(harbour)
    os.kill(before.copy().pop(), signal.SIGTERM)
    eventually(lambda: joined(harbour) - before, 20, "a new child joining")
    assert worker.poll() is None


def test_children_that_only_start_and_die_come_back_slower_and_slower(harbour: Harbour) -> None:
    harbour.app.always_kill.enqueue()
    harbour.worker()
    eventually(lambda: len(noted(harbour, "start")) >= 5, 60, "the fifth death")
    times = [float(line[0]) for line in noted(harbour, "start")]
    assert times[4] - times[3] >= 2


def test_usr1_during_boot_kills_no_child(harbour: Harbour) -> None:
    harbour.env["HARBOUR_BOOT"] = "1"
    worker = harbour.worker()
    eventually(lambda: psutil.Process(worker.pid).children(), 20, "a child booting")
    worker.send_signal(signal.SIGUSR1)
    harbour.await_ready()
    assert "died" not in harbour.logs()


@pytest.mark.timed
def test_a_limit_on_jobs_is_not_waited_for_busily(harbour: Harbour) -> None:
    harbour.app.nap.enqueue(2)
    worker = harbour.worker("--max-jobs", "1", threads=4)
    eventually(lambda: noted(harbour, "start"), 30)
    (child,) = harbour.children(worker)
    before = used(child)
    threading.Event().wait(1)
    assert used(child) - before < 0.4
    assert worker.wait(timeout=20) == 0


def test_idle_time_counts_from_the_last_end(harbour: Harbour) -> None:
    harbour.app.nap.enqueue(1.5)
    worker = harbour.worker("--idle-timeout", "1")
    assert worker.wait(timeout=30) == 0
    (end,) = noted(harbour, "end")
    assert time.monotonic() - float(end[0]) >= 1


def test_a_body_that_does_not_stop_costs_its_neighbours_nothing(harbour: Harbour) -> None:
    """They have the time of any stop, and their place is taken by then; it ends with the last."""
    long = harbour.app.nap.enqueue(12)
    hung = harbour.app.stubborn.enqueue()
    worker = harbour.worker(threads=2)
    eventually(lambda: len(noted(harbour, "start")) == 2, 30)
    (old,) = (child.pid for child in harbour.children(worker))
    eventually(lambda: joined(harbour) - {old}, 30, "the successor")
    assert harbour.app.where.enqueue().result(timeout=20) != old
    assert psutil.pid_exists(old), "the long one is still there"
    assert long.result(timeout=30) == "rested"
    assert long.refresh().record.run == 1
    hung.wait(timeout=10)
    assert [run.why for run in hung.runs] == [Why.TIMED_OUT]


def test_jobs_of_a_child_that_had_to_be_killed_count_as_returned(harbour: Harbour) -> None:
    handle = harbour.app.hold.enqueue(30)
    worker = harbour.worker("--shutdown-timeout", "0.2")
    eventually(lambda: noted(harbour, "start"), 30)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 9
    assert handle.refresh().state is JobState.AVAILABLE


def test_a_child_that_cannot_be_started_is_tried_again(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[object] = []
    popen = subprocess.Popen

    def scarce(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        tries.append(args)
        if len(tries) in (2, 3):
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return popen(*args, **options)

    for name, value in harbour.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(subprocess, "Popen", scarce)
    handle = harbour.app.nap.enqueue(2)
    options = WorkerOptions(app="harbour:jobs", cwd=str(APPS), processes=2, until_empty=True)
    assert supervise.run(options) == 0
    assert handle.refresh().state is JobState.SUCCEEDED
    assert len(tries) == 4
