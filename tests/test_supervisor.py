"""Real workers on one SQLite file: processes die, stop, drain, and nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from longshore import JobState
from longshore.core.interruptions import AFTER_END
from longshore.core.model import Why
from tests.harbour_tools import Harbour, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Harbour]:
    made = Harbour(tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def short_lease(tmp_path: Path) -> Iterator[Harbour]:
    made = Harbour(tmp_path, lease=3)
    try:
        yield made
    finally:
        made.stop()


def joined(harbour: Harbour) -> set[int]:
    store = harbour.jobs.store
    return {process.pid for process in store.run(store.processes())}


def counted(harbour: Harbour) -> Counter[int]:
    return Counter(int(line[3]) for line in harbour.lines() if line[2] == "count")


def test_twenty_thousand_jobs_each_run_once(harbour: Harbour) -> None:
    total = 20_000
    harbour.jobs.enqueue_many(harbour.app.count.bind(n) for n in range(total))
    worker = harbour.worker("--until-empty", processes=2, threads=4)
    assert worker.wait(timeout=120) == 0, harbour.logs()
    assert counted(harbour) == Counter(range(total))
    assert harbour.jobs.query.filter(state="succeeded").count() == total
    assert "database is locked" not in harbour.logs()
    assert "Traceback" not in harbour.logs()


def test_killed_children_lose_nothing_and_every_second_run_is_explained(harbour: Harbour) -> None:
    kills, share = 10, 4_000
    total = kills * share
    ids: dict[str, int] = {}
    worker = harbour.worker(processes=2, threads=4)
    harbour.await_ready(2)
    done = 0
    for turn in range(kills):
        # A share for each kill, so that it meets other jobs than the last one: those that two of
        # them have met would run one by one, each in a process of its own.
        numbers = range(turn * share, (turn + 1) * share)
        handles = harbour.jobs.enqueue_many(harbour.app.count.bind(n) for n in numbers)
        ids |= {handle.id: n for handle, n in zip(handles, numbers, strict=True)}
        eventually(lambda at=turn: len(counted(harbour)) >= share * (at + 0.5), 60)
        victims = harbour.children(worker)
        random.choice(victims).kill()
        done += 1
        eventually(lambda: len(harbour.children(worker)) >= 2, 20, "a replacement")
    eventually(lambda: harbour.jobs.query.filter(state="succeeded").count() == total, 120)
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=40)
    assert done == kills
    runs = Counter((int(line[3]), int(line[4])) for line in harbour.lines())
    per_job = Counter(n for n, _ in runs)
    assert set(per_job) == set(range(total)), "none lost"
    repeated = {n for n, times in per_job.items() if times > 1}
    for job_id, n in ids.items():
        if n in repeated:
            record = harbour.jobs.get(job_id).record
            explained = {
                run.run
                for run in record.runs
                if run.why is Why.INTERRUPTED or run.message == AFTER_END
            }
            started = {run for m, run in runs if m == n}
            assert started - {record.run} <= explained, (n, started, record)
    assert max(runs.values()) == 1, "no run number ever ran twice"


@pytest.mark.timed
def test_the_jobs_of_a_killed_child_run_again_within_a_second(harbour: Harbour) -> None:
    harbour.worker(processes=2, threads=2)
    harbour.await_ready(2)
    waits: list[float] = []
    for _ in range(5):
        handle = harbour.app.nap.enqueue(0.6)
        eventually(lambda i=handle.id: any(line[3] == i for line in harbour.lines()))
        first = next(line for line in harbour.lines() if line[3] == handle.id)
        killed = time.monotonic()
        os.kill(int(first[1]), signal.SIGKILL)
        handle.wait(timeout=20)
        starts = [x for x in harbour.lines() if x[2] == "start" and x[3] == handle.id]
        assert len(starts) == 2
        waits.append(float(starts[1][0]) - killed)
        handle.refresh()
        assert [run.why for run in handle.runs] == [Why.INTERRUPTED]
        assert handle.record.interruptions == 1
        assert handle.record.failures == 0
        # Both are back before the next: what is measured is the hand-over, not a boot.
        eventually(lambda pid=int(first[1]): pid not in joined(harbour))
        harbour.await_ready(2)
    assert max(waits) <= 1.0, waits


def test_a_job_that_kills_its_own_process_runs_again(harbour: Harbour) -> None:
    harbour.worker()
    handle = harbour.app.kill.enqueue()
    assert handle.result(timeout=30) == "survived"
    assert [run.why for run in handle.runs] == [Why.INTERRUPTED]


def test_eight_processes_on_one_file(harbour: Harbour) -> None:
    total = 4_000
    harbour.jobs.enqueue_many(harbour.app.count.bind(n) for n in range(total))
    worker = harbour.worker("--until-empty", processes=8, threads=2)
    # A producer beside them, one commit each.
    for n in range(total, total + 300):
        harbour.app.count.enqueue(n)
    assert worker.wait(timeout=120) == 0, harbour.logs()
    last = harbour.worker("--until-empty")
    assert last.wait(timeout=60) == 0
    assert counted(harbour) == Counter(range(total + 300))
    assert "locked" not in harbour.logs()
    assert "Traceback" not in harbour.logs()


@pytest.mark.timed
@pytest.mark.parametrize("form", ["nap", "anap"])
def test_term_finishes_the_short_and_returns_the_long(harbour: Harbour, form: str) -> None:
    body = getattr(harbour.app, form)
    times = [0.1, 0.3, 0.8, 10, 10]
    handles = [body.enqueue(seconds) for seconds in times]
    worker = harbour.worker("--shutdown-timeout", "2", threads=5)
    eventually(lambda: sum(x[2] == "start" for x in harbour.lines()) == len(times), 30)
    worker.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    assert worker.wait(timeout=20) == 9, harbour.logs()
    assert time.monotonic() - asked <= 3.5
    records = [handle.refresh().record for handle in handles]
    assert [r.state for r in records] == [JobState.SUCCEEDED] * 3 + [JobState.AVAILABLE] * 2
    for record in records[3:]:
        assert (record.failures, record.interruptions) == (0, 0)
        assert [run.why for run in record.runs] == [Why.RELEASED]


@pytest.mark.timed
def test_jobs_that_only_waited_in_a_process_do_not_count_as_returned(harbour: Harbour) -> None:
    # Known to be short, they are claimed ahead.
    nap = harbour.app.nap
    handles = [nap.enqueue(1.5 if n == 60 else 0.001) for n in range(120)]
    slow, waiting = handles[60], handles[61:]
    worker = harbour.worker("--shutdown-timeout", "20", threads=1)
    eventually(lambda: sum(line[2] == "start" for line in harbour.lines()) == 61, 30)
    assert harbour.jobs.query.filter(state="running").count() > 1
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=30) == 0, harbour.logs()
    assert slow.refresh().state is JobState.SUCCEEDED
    assert {job.refresh().state for job in waiting} == {JobState.AVAILABLE}


def test_term_when_idle_exits_with_zero(harbour: Harbour) -> None:
    worker = harbour.worker(processes=2)
    harbour.await_ready(2)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=10) == 0, harbour.logs()
    assert harbour.jobs.store.run(harbour.jobs.store.processes()) == ()


@pytest.mark.timed
def test_a_second_interrupt_ends_at_once(harbour: Harbour) -> None:
    handle = harbour.app.nap.enqueue(30)
    worker = harbour.worker()
    eventually(lambda: any(line[2] == "start" for line in harbour.lines()), 30)
    worker.send_signal(signal.SIGINT)
    threading.Event().wait(0.3)
    asked = time.monotonic()
    worker.send_signal(signal.SIGINT)
    assert worker.wait(timeout=10) == 130
    assert time.monotonic() - asked < 4
    record = handle.refresh().record
    assert record.state is JobState.AVAILABLE
    assert record.failures == 0


def test_a_signal_storm_is_one_shutdown(harbour: Harbour) -> None:
    handles = [harbour.app.nap.enqueue(0.2) for _ in range(4)]
    worker = harbour.worker()
    eventually(lambda: any(line[2] == "start" for line in harbour.lines()), 30)
    for _ in range(20):
        worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) in (0, 9)
    assert "Traceback" not in harbour.logs()
    assert all(h.refresh().state in (JobState.SUCCEEDED, JobState.AVAILABLE) for h in handles)


def test_term_during_boot(harbour: Harbour) -> None:
    worker = harbour.worker(processes=2)
    threading.Event().wait(0.15)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=15) in (0, -signal.SIGTERM)


@pytest.mark.timed
def test_a_stopped_worker_wakes_up_fenced(short_lease: Harbour) -> None:
    """SIGSTOP for longer than the lease, then CONT: its late writes change nothing."""
    harbour = short_lease
    handle = harbour.app.nap.enqueue(1.0)
    stale = harbour.worker(threads=1)
    eventually(lambda: any(line[2] == "start" for line in harbour.lines()), 30)
    group = os.getpgid(stale.pid)
    os.killpg(group, signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        harbour.worker(threads=1)
        handle.wait(timeout=30)
        took = time.monotonic() - stopped
    finally:
        os.killpg(group, signal.SIGCONT)
    assert took <= 1.5 * 3 + 0.5 + 1.0 + 1.0, "rescued in 1.5 leases, then the body and a boot"
    record = handle.record
    assert record.state is JobState.SUCCEEDED
    assert record.run == 2
    assert [run.why for run in record.runs] == [Why.INTERRUPTED]
    # The stale body ends by itself or is stopped, and its process goes; either way it reports, and
    # nothing of the stored job may change.
    first = next(line for line in harbour.lines() if line[2] == "start")
    eventually(lambda: "lost its lease" in harbour.logs(), 20, "the stale worker noticing")
    eventually(lambda: not psutil.pid_exists(int(first[1])), 20, "the end of the stale process")
    after = handle.refresh().record
    assert after == record


def test_a_supervisor_that_dies_takes_its_children_with_it(short_lease: Harbour) -> None:
    harbour = short_lease
    worker = harbour.worker(processes=2)
    harbour.await_ready(2)
    children = harbour.children(worker)
    worker.kill()
    worker.wait()
    _, alive = psutil.wait_procs(children, timeout=8)
    assert alive == []


def test_a_body_that_cannot_be_stopped_ends_with_its_child(harbour: Harbour) -> None:
    handle = harbour.app.stubborn.enqueue()
    neighbour = harbour.app.nap.enqueue(0.1)
    harbour.worker(threads=2)
    handle.wait(timeout=40)
    assert handle.state is JobState.DEAD
    assert handle.runs[-1].why is Why.TIMED_OUT
    neighbour.wait(timeout=20)
    assert neighbour.state is JobState.SUCCEEDED


def test_jobs_in_processes_of_their_own(harbour: Harbour) -> None:
    worker = harbour.worker(threads=2)
    one, two = harbour.app.isolated.enqueue(1), harbour.app.isolated.enqueue(2)
    (a, pid_a), (b, pid_b) = one.result(timeout=40), two.result(timeout=40)
    assert (a, b) == (2, 3)
    inside = {child.pid for child in harbour.children(worker)}
    assert len({pid_a, pid_b}) == 2
    assert not {pid_a, pid_b} & inside
    assert one.progress is not None
    assert one.progress.message == "half"
    slow = harbour.app.isolated_slow.enqueue()
    slow.wait(timeout=40)
    assert slow.state is JobState.DEAD
    assert slow.runs[-1].why is Why.TIMED_OUT
    pid = next(int(line[4]) for line in harbour.lines() if line[3] == slow.id)
    eventually(lambda: not psutil.pid_exists(pid), 10, "its process ending")
    killed = harbour.app.isolated_kill.enqueue()
    assert killed.result(timeout=40) == "survived"
    assert killed.record.interruptions == 1
    assert [run.why for run in killed.runs] == [Why.INTERRUPTED]


def test_a_running_isolated_job_is_cancelled(harbour: Harbour) -> None:
    harbour.worker(threads=1)
    handle = harbour.app.isolated_slow.using(timeout="30s").enqueue()
    eventually(lambda: any(line[2] == "start" for line in harbour.lines()), 30)
    assert handle.cancel("no need")
    handle.wait(timeout=15)
    assert handle.state is JobState.CANCELLED


def test_limits_on_a_workers_life(harbour: Harbour) -> None:
    handles = [harbour.app.count.enqueue(n) for n in range(20)]
    assert harbour.worker("--max-jobs", "5", threads=2).wait(timeout=30) == 0
    assert sum(handle.refresh().state is JobState.SUCCEEDED for handle in handles) == 5
    assert harbour.worker("--idle-timeout", "0.5").wait(timeout=30) == 0
    assert all(handle.refresh().state is JobState.SUCCEEDED for handle in handles)


@pytest.mark.parametrize(("jobs", "processes"), [(5, 2), (2, 3)])
def test_a_limit_on_jobs_is_that_of_all_processes(
    harbour: Harbour, jobs: int, processes: int
) -> None:
    harbour.jobs.enqueue_many(harbour.app.count.bind(n) for n in range(50))
    worker = harbour.worker("--max-jobs", str(jobs), processes=processes)
    assert worker.wait(timeout=30) == 0, harbour.logs()
    assert harbour.jobs.query.filter(state="succeeded").count() == jobs
    assert len(counted(harbour)) == jobs


def test_a_successor_does_what_is_left_of_a_limit_on_jobs(harbour: Harbour) -> None:
    for _ in range(2):
        harbour.app.nap.enqueue(0.3)
    harbour.app.kill.enqueue()
    harbour.jobs.enqueue_many(harbour.app.count.bind(n) for n in range(10))
    assert harbour.worker("--max-jobs", "5", threads=1).wait(timeout=40) == 0, harbour.logs()
    assert harbour.jobs.query.filter(state="succeeded").count() == 5


@pytest.mark.parametrize("limit", [["--until-empty"], ["--idle-timeout", "0.5"]])
def test_processes_end_together_when_none_has_anything_left(
    harbour: Harbour, limit: list[str]
) -> None:
    """What one of them runs may have work for all."""
    spread = harbour.app.spread.enqueue(4, 20)
    worker = harbour.worker(*limit, processes=3, threads=1)
    harbour.await_ready(3)
    assert worker.wait(timeout=60) == 0, harbour.logs()
    assert harbour.jobs.query.filter(state="succeeded").count() == 21
    (one,) = harbour.starts(spread.id)
    assert {line[1] for line in harbour.lines() if line[2] == "end"} > {one[1]}
