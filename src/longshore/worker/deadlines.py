"""Wakes up when a run has had its time: one thread, one heap, started by the first timeout."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from itertools import count
from queue import Empty, SimpleQueue

from longshore.running import RunState
from longshore.worker.journal import log

#: From so many on, runs that have ended are swept out of the heap now and then.
MANY = 1024


class Deadlines:
    """Calls back with a run once its time has come. It ends with :meth:`stop`.

    A run that ended earlier may be called back all the same: the callee knows. The lock and the
    bell are such that an exception raised into a slot cannot leave them taken.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, RunState, Callable[[RunState], None]]] = []
        self._numbers = count()
        self._lock = threading.Lock()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._sweep_at = MANY
        self._thread: threading.Thread | None = None
        self._stopped = False

    def add(self, run: RunState, wait: float, then: Callable[[RunState], None]) -> None:
        """Call ``then(run)`` in ``wait`` seconds."""
        due = time.monotonic() + wait
        with self._lock:
            heapq.heappush(self._heap, (due, next(self._numbers), run, then))
            if len(self._heap) >= self._sweep_at:
                # Many short runs with a long timeout would else be kept until it is over.
                self._heap = [entry for entry in self._heap if not entry[2].ended_at]
                heapq.heapify(self._heap)
                self._sweep_at = max(MANY, 2 * len(self._heap))
            first = bool(self._heap) and self._heap[0][2] is run
            if self._thread is None:
                thread = threading.Thread(
                    target=self._watch, name="longshore-deadlines", daemon=True
                )
                thread.start()
                self._thread = thread
        if first:
            self._bell.put(None)

    def stop(self) -> None:
        """End the thread."""
        self._stopped = True
        self._bell.put(None)

    def _watch(self) -> None:
        while not self._stopped:
            with self._lock:
                wait = self._heap[0][0] - time.monotonic() if self._heap else None
                entry = heapq.heappop(self._heap) if wait is not None and wait <= 0 else None
            if entry is None:
                try:
                    self._bell.get(timeout=wait)
                except Empty:
                    continue
            else:
                self._call(entry[2], entry[3])

    @staticmethod
    def _call(run: RunState, then: Callable[[RunState], None]) -> None:
        try:
            then(run)
        except Exception:  # noqa: BLE001 - see below
            # Without this thread no later run would be timed out.
            log.exception("the deadline of job %s was missed", run.claimed.id)
