"""Machines that have no more descriptors, threads or output: F22 to F24."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import psutil

from faults.frame import row
from faults.harm import PATIENCE
from faults.trial import Trial
from faults.workers import Worker
from longshore.core.model import ENDED, JobState
from tests.ledger_tools import Word

#: What a thread takes of the address space, and how much there is, bytes.
STACK, SPACE = 64_000_000, 1_600_000_000
WATCHED = 5.0
#: What a worker with nothing to do may use of one processor: more is a loop that spins.
IDLE = 0.2


@row("F22", "a worker may open only 48 files")
def few_descriptors(trial: Trial) -> None:
    worker = trial.worker(prefix=("prlimit", "--nofile=48"))
    trial.load()
    trial.until(lambda: not worker.alive or trial.started() > 10, 60, "its start or its refusal")
    _no_spin(trial, worker)
    trial.figures["it works"] = float(worker.alive)
    if not worker.alive:
        said = worker.said()
        trial.holds(
            "it says how many it needs", re.search(r"\d+ .*(files|descriptors)", said), said
        )
    else:
        worker.end()
    trial.worker()
    trial.settle()


@row("F23", "a worker gets no more threads")
def few_threads(trial: Trial) -> None:
    """By address space: each thread wants so much of it that there is room for few."""
    scarce = ("prlimit", f"--stack={STACK}", f"--as={SPACE}")
    worker = trial.worker(processes=1, threads=64, prefix=scarce)
    trial.load(kinds=("work",), ms=(20, 120))
    trial.until(lambda: not worker.alive or trial.started() > 10, 60, "its start or its end")
    trial.holds("it stays, with fewer slots", worker.alive, worker.said()[-300:])
    trial.holds("it says so", "thread" in worker.said().partition("pid")[2], worker.said()[-300:])
    _no_spin(trial, worker)
    if worker.alive:
        worker.end()
    trial.worker()
    trial.settle()


def _no_spin(trial: Trial, worker: Worker) -> None:
    """For some seconds, once its load is done or it got stuck, what it uses of one processor."""
    trial.loads[-1].end(PATIENCE + trial.jobs)
    with suppress(AssertionError):
        trial.until(lambda: not (worker.alive and _waiting(trial)), PATIENCE, "the end of its work")
    before = _used(worker)
    trial.wait(WATCHED)
    share = (_used(worker) - before) / WATCHED
    trial.figures["share of a processor"] = round(share, 3)
    trial.at_most("share of a processor", share, IDLE)


def _waiting(trial: Trial) -> bool:
    return any(state not in ENDED for state in trial.counted())


def _used(worker: Worker) -> float:
    total = 0.0
    for pid in worker.family():
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


@row("F24", "a worker's output is full, or nobody reads it")
def no_output(trial: Trial) -> None:
    trial.worker(output=Path("/dev/full"))
    closed = trial.folder / "pipe"
    os.mkfifo(closed)
    # Opened for reading too, or the other side would wait for somebody who does; then closed.
    reading = os.open(closed, os.O_RDONLY | os.O_NONBLOCK)
    trial.worker("--verbose", output=closed)
    trial.ready(4)
    os.close(reading)
    trial.load()
    for _ in trial.meanwhile(2):
        trial.give("raising", what="BaseException")
    trial.settle()
    records = trial.records().values()
    dead = [one for one in records if one.state is JobState.DEAD]
    trial.exactly("jobs dead, of two that had to be", len(dead), 2)
    trial.exactly("failures of others", sum(one.failures for one in records) - 2, 0)
    trial.exactly("deaths", sum(line.word is Word.DIED for line in trial.lines), 0)
