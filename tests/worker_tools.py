"""What the worker's tests share: waiting without sleeping, and draining."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from longshore import JobState, Longshore, constant

NOW = constant("1ms", jitter=0)


def eventually(ask: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something is so; the pause only bounds how often we ask."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not ask():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.005)


def drain_due(jobs: Longshore, turns: int = 50) -> None:
    """Run until nothing is available or due within moments."""
    for _ in range(turns):
        jobs.worker(threads=2).run(until_empty=True)
        states = {handle.state for handle in jobs.query}
        if not states & {JobState.RETRYING, JobState.SCHEDULED}:
            return
        threading.Event().wait(0.005)
