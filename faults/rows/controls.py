"""Controls: what is broken on purpose must be seen, or the other rows prove nothing.

A control holds when its run shows loss, outcomes of old runs or errors, whichever was provoked.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from faults.broken import broken
from faults.frame import Own, row
from faults.trial import Trial
from faults.workers import ROOT
from tests.checker_tools import runs_of
from tests.harbour_tools import APPS

STALE = 8
#: Without these, an ending is taken from whatever run of a job that is running.
FENCE = ("sqlite/finish-plain-any-run", "sqlite/finish-plain-any-process")


@row(
    "C1",
    "a Redis without an append-only file crashes",
    on=("redis",),
    own=Own(durable=False),
    control=True,
)
def forgetful_redis(trial: Trial) -> None:
    _crashes(trial)


@row(
    "C2",
    "a PostgreSQL that does not wait for its disk crashes",
    on=("postgres18",),
    own=Own(durable=False),
    control=True,
)
def forgetful_postgres(trial: Trial) -> None:
    _crashes(trial)


def _crashes(trial: Trial) -> None:
    assert trial.server is not None
    trial.worker()
    trial.ready(2)
    trial.load()
    for _ in trial.meanwhile(3):
        trial.server.kill()
        trial.server.start()
    account = trial.settle(within=10)
    trial.at_least("acknowledged and lost, or vanished", account.missing, 1)


@row(
    "C3", "a store takes the endings of runs that are over", on=("sqlite",), control=True, jobs=200
)
def without_fence(trial: Trial) -> None:
    path = broken(trial.folder, *FENCE)
    with _stale(trial, path) as taken:
        pass
    account = trial.settle()
    trial.at_least("reports taken", taken[0], 1)
    trial.at_least("outcomes of an old run", len(account.zombie), 1)


@row("F08a", "a process reports long after its lease ended and others have its jobs", jobs=200)
def late_reports(trial: Trial) -> None:
    with _stale(trial, str(ROOT / "src")) as taken:
        pass
    account = trial.settle()
    trial.exactly("reports taken", taken[0], 0)
    trial.exactly("duplicated", account.duplicated, STALE)


@contextmanager
def _stale(trial: Trial, path: str) -> Iterator[list[int]]:
    """Jobs are claimed by a process that reports when others run them; how many reports held."""
    numbers = [trial.give("work", ms=3000) for _ in range(STALE)]
    taken: list[int] = []
    with subprocess.Popen(
        [sys.executable, "-m", "faults.stale", str(STALE)],
        cwd=APPS,
        env={**trial.workers.environment, "PYTHONPATH": f"{path}:{ROOT}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "claimed\n"
            trial.worker(threads=STALE)
            trial.until(lambda: _second(trial) == len(numbers), 60, "the runs of others")
            process.stdin.write("\n")
            process.stdin.flush()
            taken.append(int(process.stdout.readline()))
            yield taken
        finally:
            process.kill()


def _second(trial: Trial) -> int:
    return sum(run.run > 1 for run in runs_of(trial.lines))


@row(
    "C4",
    "SQLite transactions that begin by reading, and nobody is patient",
    on=("sqlite",),
    control=True,
    jobs=1000,
)
def deferred_begin(trial: Trial) -> None:
    path = broken(trial.folder, "sqlite/begin-deferred", "sqlite/busy-at-once")
    for _ in range(4):
        trial.worker(environment={"PYTHONPATH": path})
    trial.ready(8)
    trial.load(ms=(0, 5))
    trial.settle()
    errors = trial.workers.said().count("held it for too long")
    trial.at_least("errors of a file that others hold, in the logs", errors, 1)
