"""Processes that are stopped and go on later: F07 and F08."""

from __future__ import annotations

from faults.frame import row
from faults.trial import Trial

THREADS = 4


@row("F07", "a child is stopped for three leases and goes on")
def stopped_child(trial: Trial) -> None:
    worker = trial.worker(threads=THREADS)
    trial.worker(threads=THREADS)
    trial.ready(4)
    trial.load(ms=(20, 120))
    for _ in trial.meanwhile(1):
        child = trial.random.choice(worker.children())
        worker.stop(child)
        trial.wait(3 * trial.lease)
        worker.resume(child)
    account = trial.settle()
    trial.at_most("bodies run again, slots", account.duplicated - account.redone, THREADS)
