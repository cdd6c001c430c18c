"""A worker inside this process: W3 without a second process, W5."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.sample import Sample, Stopwatch, exactly_once, percentiles
from bench.workloads.fleet import SETTLE, pss, succeeded, until
from bench.workloads.stores import opened


def latency(home: Path, *, store: str, jobs: int, per_second: int) -> Sample:
    """`enqueue` calls at a steady pace beside `worker().running()` in the same process."""
    app = opened(home, store)
    began: dict[int, int] = {}
    ran: list[int] = []

    @app.job(kind="note")
    def note(number: int) -> None:
        began[number] = time.monotonic_ns()
        ran.append(number)

    called: list[int] = []
    with app.worker().running():
        note.enqueue(jobs).wait(timeout=30)
        start = time.monotonic() + 0.1
        for number in range(jobs):
            time.sleep(max(0.0, start + number / per_second - time.monotonic()))
            called.append(time.monotonic_ns())
            note.enqueue(number)
        until(lambda: succeeded(app) == jobs + 1, "the last job")
        took = time.monotonic() - start
    exactly_once(ran, jobs + 1)
    return Sample(percentiles([began[number] - called[number] for number in range(jobs)]), took)


def memory(home: Path, *, store: str, jobs: int) -> Sample:
    """PSS of a process with a worker inside, idle and after many jobs enqueued elsewhere."""
    app = opened(home, store)
    ran: list[int] = []

    @app.job(kind="note")
    def note(number: int) -> None:
        ran.append(number)

    with app.worker().running(), Stopwatch() as watch:
        note.enqueue(jobs).wait(timeout=30)
        time.sleep(SETTLE)
        idle = pss()
        subprocess.run(
            [sys.executable, "-m", "bench.workloads.producer", str(home), store, str(jobs)],
            check=True,
        )
        until(lambda: succeeded(app) == jobs + 1, "the last job")
        time.sleep(SETTLE)
        after = pss()
    exactly_once(ran, jobs + 1)
    return Sample({"idle": idle, "after": after}, watch.seconds)
