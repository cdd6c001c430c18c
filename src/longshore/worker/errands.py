"""What a supervisor has to do in the store, away from the thread that hears signals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import TypeAlias

from longshore.errors import StoreError
from longshore.worker.journal import log

_Errand: TypeAlias = "tuple[str, Callable[[], None], Callable[[], bool]]"


class Errands:
    """What has to be done in the store, one thing after the other, each until it succeeds."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Errand | None] = SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="longshore-errands", daemon=True)
        self._thread.start()

    def add(
        self, what: str, errand: Callable[[], None], needless: Callable[[], bool] = lambda: False
    ) -> None:
        """Have this done, unless it has become ``needless``; it must be safe to repeat."""
        self._queue.put((what, errand, needless))

    def finish(self) -> None:
        """Do what is left, then end; a store that is down is not waited for very long."""
        self._queue.put(None)
        self._thread.join(timeout=5)
        self._stop.set()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            what, errand, needless = job
            wait = 0.1
            while not (self._stop.is_set() or needless()):
                try:
                    errand()
                    break
                except StoreError as error:
                    log.warning("could not %s (%s); trying again", what, error)
                except Exception:  # noqa: BLE001 - see below
                    # A thread that ends over a fault of ours would leave all later errands undone.
                    log.exception("could not %s; trying again", what)
                self._stop.wait(wait)
                wait = min(wait * 2, 5.0)


def end_together(ends: Iterable[Callable[[], None]], by: float) -> None:
    """Let all of these end side by side; who is not done ``by`` then (monotonic) is left behind."""
    threads = [threading.Thread(target=end, daemon=True) for end in ends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, by - time.monotonic()))
