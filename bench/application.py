"""The application that ``longshore worker`` runs in these measurements.

``BENCH_LEDGER`` names the folder of the ledger and ``BENCH_ENTRIES`` its room; only workers have
them. ``BENCH_CLAIMS`` names a folder for how long claims take; ``BENCH_KEEP_RESULT`` says how long
results are kept, where that is not the default.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.ledger import Ledger
from bench.workloads.spinning import spin_for
from longshore import Longshore
from longshore.core.store import Operation
from longshore.declare import JobOptions

jobs = Longshore()

_kept = os.environ.get("BENCH_KEEP_RESULT")
_RESULTS: JobOptions = {} if _kept is None else {"keep_result": int(_kept)}


def _named(variable: str) -> Ledger | None:
    """This process's ledger in the folder of that variable, in a worker that has it."""
    folder = os.environ.get(variable) if "BENCH_LEDGER" in os.environ else None
    return Ledger(Path(folder), int(os.environ["BENCH_ENTRIES"])) if folder else None


_ledger, _claims = _named("BENCH_LEDGER"), _named("BENCH_CLAIMS")


def _timing(run: Callable[..., Any], claims: Ledger) -> Callable[..., Any]:
    """Drive operations as the store does, and note how long each claim took, in nanoseconds."""

    @functools.wraps(run)
    def timed(store: object, op: Operation[Any], /) -> Any:
        start = time.monotonic_ns()
        answer = run(store, op)
        if op.name in {"claim", "exchange"}:
            claims.write(time.monotonic_ns() - start)
        return answer

    return timed


if _claims is not None:
    _store: Any = type(jobs.store)
    _store.run = _timing(_store.run, _claims)


@jobs.job(kind="note", **_RESULTS)
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
