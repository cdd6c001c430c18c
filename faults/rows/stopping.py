"""Processes that are stopped, busy or stuck, and others that must not take that for death."""

from __future__ import annotations

from faults.frame import row
from faults.trial import Trial
from tests.checker_tools import runs_of
from tests.ledger_tools import Word

THREADS = 4
#: More than the slots can do at once: whoever is hit has jobs.
LONG = (50, 200)
#: Without this variable a stuck child is replaced after a longer time.
STALL = 3.0


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
    worker = trial.worker(threads=THREADS)
    trial.worker(threads=THREADS)
    trial.ready(4)
    trial.load(ms=LONG)
    for _ in trial.meanwhile(1):
        child = trial.random.choice(worker.children())
        trial.busy(worker, child)
        worker.stop(child)
        trial.wait(3 * trial.lease)
        worker.resume(child)
    account = trial.settle()
    cut = account.duplicated - account.redone
    trial.at_most("bodies cut off and run again, slots", cut, THREADS)
    trial.holds("what it had went to others", account.interrupted or account.unstarted)


@row("F08", "a whole machine is stopped for three leases and goes on")
def stopped_machine(trial: Trial) -> None:
    frozen = trial.worker(threads=THREADS)
    trial.worker(threads=THREADS)
    trial.ready(4)
    trial.load(ms=LONG)
    for _ in trial.meanwhile(1):
        trial.busy(frozen)
        family = frozen.freeze()
        trial.wait(3 * trial.lease)
        frozen.thaw(family)
    account = trial.settle()
    cut = account.duplicated - account.redone
    trial.at_most("bodies cut off and run again, slots", cut, 2 * THREADS)
    trial.at_least("jobs of the stopped machine that others ran", account.duplicated, 1)
    trial.at_most(
        "given to others after, s", account.recovery.most, 1.5 * trial.lease + 0.5, timed=True
    )
    trial.holds("no traceback in any log", "Traceback" not in trial.workers.said())


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
    worker = trial.worker(
        "--name", "hanging", threads=THREADS, failpoints="before_claim:hang@10", processes=1
    )
    trial.worker()
    trial.ready(3)
    first = set(worker.children())
    load = trial.load(ms=(20, 120))
    trial.until(lambda: not first & set(worker.children()) or load.done, 120, "a replacement")
    trial.until(lambda: not first & set(worker.children()), 30, "a replacement")
    worker.end()
    account = trial.settle()
    stuck = [run for run in runs_of(trial.lines) if run.pid in first]
    died = [line.at for line in trial.lines if line.word is Word.DIED and line.pid in first]
    last = max((max(run.started, run.finished) for run in stuck), default=0)
    trial.at_most(
        "replaced after its last sign, s", (died[0] - last) / 1e6, STALL + 1.5, timed=True
    )
    trial.at_most("bodies run again, slots", account.duplicated - account.redone, THREADS)
