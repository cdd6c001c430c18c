"""The application that ``longshore worker`` runs in these measurements.

``BENCH_LEDGER`` names the folder of the ledger and ``BENCH_ENTRIES`` its room; only workers have
them.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench.ledger import Ledger
from bench.workloads.spinning import spin_for
from longshore import Longshore

jobs = Longshore()

_folder = os.environ.get("BENCH_LEDGER")
_ledger = Ledger(Path(_folder), int(os.environ["BENCH_ENTRIES"])) if _folder else None


@jobs.job(kind="note")
def note(number: int) -> None:
    """As good as nothing."""
    if _ledger is not None:
        _ledger.write(number)


@jobs.job(kind="nap")
def nap(number: int, seconds: float) -> int:
    """The moment at which it ended, by the machine's monotonic clock."""
    if _ledger is not None:
        _ledger.write(number)
    time.sleep(seconds)
    return time.monotonic_ns()


@jobs.job(kind="spin")
def spin(number: int, turns: int) -> None:
    """A known amount of the interpreter's time."""
    if _ledger is not None:
        _ledger.write(number)
    spin_for(turns)
