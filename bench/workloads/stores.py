"""What the workloads share: opening a store in a folder, and filling it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.sample import same
from longshore import BoundJob, Longshore

CHUNK = 1_000
FILE = "jobs.db"


def url_of(home: Path, store: str) -> str:
    """Where the jobs of a run live: in an empty database of a server, or in this folder."""
    given = os.environ.get("BENCH_URL")
    places = {"memory": "memory://", "sqlite": f"sqlite:///{(home / FILE).as_posix()}"}
    return given or places[store]


def opened(home: Path, store: str, **settings: Any) -> Longshore:
    """An application on a fresh store, its tables made."""
    jobs = Longshore(url_of(home, store), **settings)
    jobs.migrate()
    return jobs


def fill(jobs: Longshore, bind: Callable[[int], BoundJob[Any]], numbers: range) -> None:
    """Store a job for each number, by thousands."""
    for chunk in chunks(numbers):
        jobs.enqueue_many(map(bind, chunk))


def waiting(jobs: Longshore, wanted: int) -> None:
    """Prove that so many jobs wait, before a clock starts."""
    same("available jobs", jobs.query.filter(state="available").count(), wanted)


def chunks(numbers: range) -> Iterator[range]:
    """The same numbers, a thousand at a time."""
    for start in range(0, len(numbers), CHUNK):
        yield numbers[start : start + CHUNK]
