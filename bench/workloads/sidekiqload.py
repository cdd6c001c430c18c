"""W10: the load that Sidekiq's own benchmark uses."""

from __future__ import annotations

import threading
from pathlib import Path

from bench.sample import Invalid, Sample, Stopwatch, same
from bench.workloads.stores import fill, opened


def load(home: Path, *, store: str, jobs: int) -> Sample:
    """Jobs with the arguments `["string", n, {"mike": "bob"}]`, counted under a lock, 10 slots."""
    app = opened(home, store)
    lock = threading.Lock()
    ran = total = 0

    @app.job(kind="load")
    def count(text: str, number: int, names: dict[str, str]) -> None:
        nonlocal ran, total
        with lock:
            ran += 1
            total += number + len(text) + len(names)

    fill(app, lambda number: count.bind("string", number, {"mike": "bob"}), range(jobs))
    worker = app.worker(threads=10)
    with Stopwatch() as watch:
        worker.run(until_empty=True)
        succeeded = app.query.filter(state="succeeded").count()
    same("succeeded jobs", succeeded, jobs)
    if (ran, total) != (jobs, jobs * (jobs - 1) // 2 + 7 * jobs):
        raise Invalid(f"the bodies counted {ran} runs of {jobs} jobs, and {total} in all")
    return watch.rate(jobs)
