"""What Python itself costs for a queue in memory: W2's limit on the memory store."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

import msgspec

from bench.sample import Sample, Stopwatch, exactly_once


def drain(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """One thread takes rows from a deque, decodes the payload, looks the function up and calls it.

    Each call is inside a `try` and between two readings of the clock, and its outcome is kept in a
    dictionary. No lease, no lock, no second thread.
    """
    ran: list[int] = []

    def note(number: int) -> None:
        ran.append(number)

    known = {"note": note}
    rows = deque(
        (f"{number:036x}", "note", msgspec.json.encode({"number": number}))
        for number in range(jobs)
    )
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
