"""W12 and W13: many worker processes on one store, and many jobs due at one moment."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.ledger import Entry, read
from bench.sample import Invalid, Sample, exactly_once, percentiles, same
from bench.workloads.fleet import (
    LOG,
    SETTLE,
    connected,
    ended,
    running,
    succeeded,
    until,
    until_over,
)
from bench.workloads.stores import fill
from longshore import Longshore

CLAIMS = "claims"
TROUBLE = "the store failed"  # what a worker says when a call of its did
STEPS = 100  # moments over which the jobs of a second are spread
LEAD = 5.0  # seconds at least between storing jobs and their moment
STORED = 5_000  # jobs a second that every store can store
SLACK = 50_000_000  # nanoseconds by which the clocks may differ: each is read on its own


def processes(home: Path, *, store: str, jobs: int, processes: int) -> Sample:
    """`longshore worker --processes N` on stored no-op jobs of a queue that was paused till then.

    The clock starts when the queue is resumed, with every process there, and stops when this one
    reads from the store that every job succeeded. A claim is timed in the worker, from its call of
    the store to the answer, and ends of earlier jobs go with most. A worker that had to say that
    its store failed makes the run invalid.
    """
    (home / CLAIMS).mkdir()
    os.environ["BENCH_CLAIMS"] = str(home / CLAIMS)
    app = connected(home, store)
    from bench.application import note  # noqa: PLC0415 - it reads the environment

    fill(app, note.bind, range(jobs))
    app.queues["default"].pause()
    with running(home, jobs, "--processes", str(processes)) as worker:
        until(lambda: _there(home, worker, app) >= processes, "the start of the workers")
        time.sleep(SETTLE)
        start = time.monotonic_ns()
        app.queues["default"].resume()
        until_over(worker, home, jobs, lambda: succeeded(app) == jobs)
        stop = time.monotonic_ns()
    same("succeeded jobs", succeeded(app), jobs)
    exactly_once((entry.number for entry in read(home)), jobs)
    _untroubled(home)
    claims = [entry.number for entry in read(home / CLAIMS) if start <= entry.at <= stop]
    seconds = (stop - start) / 1e9
    figures = {"rate": jobs / seconds, "claim-p99": percentiles(claims)["p99"]}
    return Sample(figures, seconds)


def due(home: Path, *, store: str, jobs: int) -> Sample:
    """Jobs stored for later that all become due within one second, run by `longshore worker`.

    The clock starts at the first of these moments and stops when this process reads from the store
    that every job succeeded. How late a body begins is told by the machine's clock.
    """
    app = connected(home, store)
    from bench.application import note  # noqa: PLC0415 - it reads the environment

    first = datetime.now(UTC) + timedelta(seconds=LEAD + jobs / STORED)
    moments = [note.using(at=first + timedelta(seconds=step / STEPS)) for step in range(STEPS)]
    start = time.monotonic_ns() + int((first - datetime.now(UTC)).total_seconds() * 1e9)
    with running(home, jobs) as worker:
        fill(app, lambda number: moments[number % STEPS].bind(number), range(jobs))
        if time.monotonic_ns() > start:
            raise Invalid("jobs were due before all of them were stored")
        until_over(worker, home, jobs, lambda: succeeded(app) == jobs)
        stop = time.monotonic_ns()
    same("succeeded jobs", succeeded(app), jobs)
    entries = read(home)
    exactly_once((entry.number for entry in entries), jobs)
    _untroubled(home)
    late = percentiles([_late(entry, start) for entry in entries])
    seconds = (stop - start) / 1e9
    figures = {"rate": jobs / seconds, "late-p50": late["p50"], "late-p99": late["p99"]}
    return Sample(figures, seconds)


def _late(entry: Entry, start: int) -> int:
    late = entry.at - start - entry.number % STEPS * 1_000_000_000 // STEPS
    if late < -SLACK:
        raise Invalid(f"job {entry.number} began {-late / 1e6:.1f} ms before it was due")
    return late


def _there(home: Path, worker: subprocess.Popen[bytes], app: Longshore) -> int:
    """How many processes may claim."""
    if worker.poll() is not None:
        ended(worker, home)
        raise Invalid("longshore worker ended before there was work")
    return len(app.store.run(app.store.processes()))


def _untroubled(home: Path) -> None:
    lines = (home / LOG).read_text(errors="replace").splitlines()
    if troubles := [line for line in lines if TROUBLE in line]:
        raise Invalid(f"workers said {len(troubles)} times: {troubles[0]}")
