"""W4: jobs that only wait, in threads and on the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

from bench.sample import Sample, Stopwatch, exactly_once, same
from bench.workloads.stores import fill, opened, waiting

NAP = 0.05


def sleep_in_threads(home: Path, *, store: str, jobs: int, slots: int) -> Sample:
    """Jobs of 50 ms `time.sleep` at 50 slots; the clock as in W2."""
    app = opened(home, store)
    ran: list[int] = []

    @app.job(kind="nap")
    def nap(number: int) -> None:
        ran.append(number)
        time.sleep(NAP)

    fill(app, nap.bind, range(jobs))
    waiting(app, jobs)
    worker = app.worker(threads=slots)
    with Stopwatch() as watch:
        worker.run(until_empty=True)
        done = app.query.filter(state="succeeded").count()
    same("succeeded jobs", done, jobs)
    exactly_once(ran, jobs)
    return watch.took()


def sleep_in_loop(home: Path, *, store: str, jobs: int, slots: int) -> Sample:
    """The same as coroutines: `asyncio.sleep` of 50 ms at 50 slots."""
    app = opened(home, store)
    ran: list[int] = []

    @app.job(kind="nap")
    async def nap(number: int) -> None:
        ran.append(number)
        await asyncio.sleep(NAP)

    fill(app, nap.bind, range(jobs))
    waiting(app, jobs)
    worker = app.worker(threads=slots)
    with Stopwatch() as watch:
        worker.run(until_empty=True)
        done = app.query.filter(state="succeeded").count()
    same("succeeded jobs", done, jobs)
    exactly_once(ran, jobs)
    return watch.took()


def bare_threads(home: Path, *, jobs: int, slots: int) -> Sample:  # noqa: ARG001 - called as all are
    """50 threads of their own with an equal share of the sleeps each, and nothing else."""

    def share() -> None:
        for _ in range(jobs // slots):
            time.sleep(NAP)

    threads = [threading.Thread(target=share) for _ in range(slots)]
    with Stopwatch() as watch:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return watch.took()


def bare_loop(home: Path, *, jobs: int, slots: int) -> Sample:  # noqa: ARG001 - called as all are
    """50 tasks of one event loop with an equal share of the sleeps each, and nothing else."""

    async def share() -> None:
        for _ in range(jobs // slots):
            await asyncio.sleep(NAP)

    async def all_shares() -> None:
        await asyncio.gather(*(share() for _ in range(slots)))

    with Stopwatch() as watch:
        asyncio.run(all_shares())
    return watch.took()
