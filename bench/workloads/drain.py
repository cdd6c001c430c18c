"""W2: one worker in this process drains no-op jobs that were stored before."""

from __future__ import annotations

from pathlib import Path

from bench.sample import Sample, Stopwatch, exactly_once, same
from bench.workloads.settling import settle
from bench.workloads.stores import fill, opened, waiting


def drain(home: Path, *, store: str, jobs: int, kept: bool = True, settled: bool = False) -> Sample:
    """`worker().run(until_empty=True)` with the default 10 threads; each body notes its number.

    The clock starts before the worker registers and stops when it has gone and the store, read
    back, says that every job succeeded (with nothing kept: that it is empty). Arguments travel as
    JSON; leases, late finish and durability are the defaults. Where it is beside a store that holds
    much else, what was stored is put away before, as it is there.
    """
    settings = {} if kept else {"keep_succeeded": 0}
    app = opened(home, store, **settings)
    ran: list[int] = []

    @app.job(kind="note", keep_result="1d" if kept else 0)
    def note(number: int) -> None:
        ran.append(number)

    fill(app, note.bind, range(jobs))
    waiting(app, jobs)
    if settled:
        settle(store)
    worker = app.worker()
    with Stopwatch() as watch:
        worker.run(until_empty=True)
        succeeded = app.query.filter(state="succeeded").count()
    same("succeeded jobs", succeeded, jobs if kept else 0)
    same("jobs", app.query.count(), jobs if kept else 0)
    exactly_once(ran, jobs)
    return watch.rate(jobs)
