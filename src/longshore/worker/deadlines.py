"""Wakes up when a run has had its time: one thread, one heap, started by the first timeout."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from itertools import count

from longshore.context import RunState


class Deadlines:
    """Calls back with a run once its time has come. It ends with :meth:`stop`.

    A run that ended earlier is called back all the same: the callee knows, the heap need not.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, RunState, Callable[[RunState], None]]] = []
        self._numbers = count()
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def add(self, run: RunState, wait: float, then: Callable[[RunState], None]) -> None:
        """Call ``then(run)`` in ``wait`` seconds."""
        due = time.monotonic() + wait
        with self._change:
            heapq.heappush(self._heap, (due, next(self._numbers), run, then))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, name="longshore-deadlines", daemon=True
                )
                self._thread.start()
            elif self._heap[0][2] is run:
                self._change.notify()

    def stop(self) -> None:
        """End the thread."""
        with self._change:
            self._stopped = True
            self._change.notify()

    def _watch(self) -> None:
        while True:
            with self._change:
                if self._stopped:
                    return
                wait = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait is None or wait > 0:
                    self._change.wait(wait)
                    continue
                _, _, run, then = heapq.heappop(self._heap)
            then(run)
