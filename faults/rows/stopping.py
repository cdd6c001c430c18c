"""Processes that are stopped, busy or stuck, and others that must not take that for death."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

from faults.frame import row
from faults.trial import Trial
from longshore.cli.exit import DEGRADED
from longshore.cli.program import run
from longshore.worker.door import ask
from tests.checker_tools import runs_of
from tests.ledger_tools import Word, now

THREADS = 4
#: More than the slots can do at once: whoever is hit has jobs.
LONG = (50, 200)


@row("F05", "a supervisor is killed and its children live")
def killed_supervisor(trial: Trial) -> None:
    worker = trial.worker(threads=THREADS)
    trial.worker(threads=THREADS)
    trial.ready(4)
    trial.load(ms=LONG)
    children: list[int] = []
    for _ in trial.meanwhile(1):
        trial.busy(worker)
        children += worker.children()
        worker.kill()
        worker.process.wait(10)
    trial.until(lambda: trial.ended(children), 60, "the end of the orphans")
    account = trial.settle()
    killed = next(line.at for line in trial.lines if line.word is Word.KILLED)
    last = max(line.at for line in trial.lines if line.word is Word.DIED and line.pid in children)
    trial.at_most("orphans lived on, s", (last - killed) / 1e6, 1.2 * trial.lease, timed=True)
    trial.at_most("two runs of a job at once, s", account.overlap, 0)


@row("F07", "a child is stopped for three leases and goes on")
def stopped_child(trial: Trial) -> None:
    """The watch over children replaces it before its lease is out, or its writes are refused."""
    name = trial.folder.name
    worker = trial.worker("--name", name, threads=THREADS)
    trial.worker(threads=THREADS)
    trial.ready(4)
    trial.load(ms=LONG)
    stopped = 0
    for _ in trial.meanwhile(1):
        stopped = trial.random.choice(worker.children())
        trial.busy(worker, stopped)
        worker.stop(stopped)
        trial.wait(3 * trial.lease)
        worker.resume(stopped)
    account = trial.settle()
    refused = _refused_writes(name)
    trial.figures["writes refused"] = refused
    replaced = stopped not in worker.children()
    trial.holds("it was replaced, or its late writes were refused", replaced or refused)
    cut = account.duplicated - account.redone
    trial.at_most("bodies cut off and run again, slots", cut, THREADS)
    trial.holds("what it had went to others", account.interrupted or account.unstarted)


@row("F08", "a whole machine is stopped for three leases and goes on")
def stopped_machine(trial: Trial) -> None:
    name = trial.folder.name
    frozen = trial.worker("--name", name, threads=THREADS)
    trial.worker(threads=THREADS)
    trial.ready(4)
    trial.load(ms=LONG)
    for _ in trial.meanwhile(1):
        trial.busy(frozen)
        family = frozen.freeze()
        trial.wait(3 * trial.lease)
        frozen.thaw(family)
    account = trial.settle()
    trial.figures["writes refused"] = _refused_writes(name)
    cut = account.duplicated - account.redone
    trial.at_most("bodies cut off and run again, slots", cut, 2 * THREADS)
    trial.at_least("jobs of the stopped machine that others ran", account.duplicated, 1)
    trial.at_most(
        "given to others after, s", account.recovery.most, 1.5 * trial.lease + 0.5, timed=True
    )
    trial.holds("no traceback in any log", "Traceback" not in trial.workers.said())


def _refused_writes(name: str) -> int:
    """What a worker counts of its own writes that were refused since others had the jobs."""
    report = ask(name, "health")
    assert report is not None, f"the worker {name} does not answer"
    return report.fenced_writes


@row("F09", "a job keeps the interpreter's lock for five leases")
def lock_held(trial: Trial) -> None:
    trial.worker(processes=1, threads=THREADS)
    trial.ready(1)
    held = trial.give("hold", ms=int(5000 * trial.lease))
    trial.until(lambda: trial.started(held), 60, "its start")
    trial.worker()
    trial.load()
    trial.settle()
    trial.exactly("starts of that job", trial.started(held), 1)
    trial.exactly("deaths", sum(line.word is Word.DIED for line in trial.lines), 0)


@row("F10", "a coroutine blocks its event loop for five leases, with fifty neighbours")
def loop_blocked(trial: Trial) -> None:
    worker = trial.worker(processes=1, threads=64)
    trial.ready(1)
    neighbours = [trial.give("awork", ms=2000) for _ in range(50)]
    trial.until(lambda: trial.started(*neighbours) == 50, 60, "the start of its neighbours")
    blocking = trial.give("block", ms=int(5000 * trial.lease))
    trial.until(lambda: trial.started(blocking), 60, "its start")
    trial.worker()
    trial.load()
    account = trial.settle()
    trial.exactly("starts of that job", trial.started(blocking), 1)
    trial.exactly("starts of its neighbours", trial.started(*neighbours), 50)
    trial.exactly("duplicated", account.duplicated, 0)
    job_id = trial.records()[blocking].id
    told = [text for text in worker.said().splitlines() if "event loop" in text and job_id in text]
    trial.holds("a warning names the job", told)


@row("F25", "the store thread of a child hangs while its supervisor beats")
def store_thread_hangs(trial: Trial) -> None:
    name = trial.folder.name
    worker = trial.worker(
        "--name", name, threads=THREADS, failpoints="before_claim:hang@40", processes=1
    )
    trial.worker()
    trial.ready(3)
    first, began = set(worker.children()), now()
    trial.load(ms=(20, 120))
    trial.until(lambda: _lives(name) is False, 120, "a worker that says it is stuck")
    # Not in a process of its own, which may take as long to start as there is time.
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        code = run(["health", "--live", "--worker", name])
    trial.exactly("exit code of `health --live` meanwhile", code, DEGRADED.exit)
    trial.until(lambda: not first & set(worker.children()), 30, "a replacement")
    trial.until(lambda: _lives(name), 30, "a worker that is live again")
    worker.end()
    account = trial.settle()
    stuck = [run for run in runs_of(trial.lines) if run.pid in first]
    died = [line.at for line in trial.lines if line.word is Word.DIED and line.pid in first]
    last = max((max(run.started, run.finished) for run in stuck), default=began)
    trial.at_most(
        "replaced after its last sign, s", (died[0] - last) / 1e6, trial.lease + 1, timed=True
    )
    trial.at_most("bodies run again, slots", account.duplicated - account.redone, THREADS)


def _lives(name: str) -> bool | None:
    """Whether a worker says that each of its processes makes progress, if it says anything."""
    report = ask(name, "health")
    return None if report is None else report.live
