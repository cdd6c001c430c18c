"""What Python itself costs for a queue in memory: the limits of W1, W1b and W2 on the memory store.

Rows are kept by id in a dictionary and in their order in a deque.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path

import msgspec

from bench.sample import Sample, Stopwatch, exactly_once, same
from bench.workloads.stores import chunks


def one_by_one(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """One thread encodes the payload and keeps the row under a lock, for each job."""
    rows: dict[str, tuple[object, ...]] = {}
    ready: deque[str] = deque()
    lock = threading.Lock()
    with Stopwatch() as watch:
        for number in range(jobs):
            row = _row(number)
            with lock:
                rows[row[0]] = row
                ready.append(row[0])
    same("rows", len(rows), jobs)
    return watch.rate(jobs)


def in_bulk(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """The same, a thousand each time that the lock is taken."""
    rows: dict[str, tuple[object, ...]] = {}
    ready: deque[str] = deque()
    lock = threading.Lock()
    with Stopwatch() as watch:
        for chunk in chunks(range(jobs)):
            made = [_row(number) for number in chunk]
            with lock:
                rows.update((row[0], row) for row in made)
                ready.extend(row[0] for row in made)
    same("rows", len(rows), jobs)
    return watch.rate(jobs)


def drain(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """One thread takes rows from a deque, decodes the payload, looks the function up and calls it.

    Each call is inside a `try` and between two readings of the clock, and its outcome is kept in a
    dictionary. No lease, no lock, no second thread.
    """
    ran: list[int] = []

    def note(number: int) -> None:
        ran.append(number)

    known = {"note": note}
    rows = deque(_row(number) for number in range(jobs))
    decode = msgspec.json.Decoder(dict[str, int]).decode
    ended: dict[str, tuple[int, int, str]] = {}
    with Stopwatch() as watch:
        while rows:
            job_id, kind, payload = rows.popleft()
            start = time.time_ns()
            try:
                known[kind](**decode(payload))
            except Exception as error:  # noqa: BLE001 - what a worker has to do
                outcome = str(error)
            else:
                outcome = "succeeded"
            ended[job_id] = (start, time.time_ns(), outcome)
    exactly_once(ran, jobs)
    return watch.rate(jobs)


def _row(number: int) -> tuple[str, str, bytes]:
    return f"{number:036x}", "note", msgspec.json.encode({"number": number})
