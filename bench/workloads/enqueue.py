"""W1: storing jobs, one call at a time and in bulk."""

from __future__ import annotations

from pathlib import Path

from bench.sample import Sample, Stopwatch, same
from bench.workloads.stores import chunks, opened


def one_by_one(home: Path, *, store: str, jobs: int, durability: str = "full") -> Sample:
    """One process calls `enqueue` for each job; every call returns once the store has the job."""
    app = opened(home, store, durability=durability)

    @app.job(kind="note")
    def note(number: int) -> None:
        """Nothing."""

    with Stopwatch() as watch:
        for number in range(jobs):
            note.enqueue(number)
    same("available jobs", app.query.filter(state="available").count(), jobs)
    return watch.rate(jobs)


def in_bulk(home: Path, *, store: str, jobs: int) -> Sample:
    """One process calls `enqueue_many` for a thousand jobs at a time, `bind` included."""
    app = opened(home, store)

    @app.job(kind="note")
    def note(number: int) -> None:
        """Nothing."""

    with Stopwatch() as watch:
        for chunk in chunks(range(jobs)):
            app.enqueue_many(map(note.bind, chunk))
    same("available jobs", app.query.filter(state="available").count(), jobs)
    return watch.rate(jobs)
