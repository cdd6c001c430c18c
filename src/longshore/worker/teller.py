"""A thread that calls what an application wants to be told by, so that nobody else waits for it.

How long a listener takes is its own affair: told by the thread that claims and reports, a slow one
held up every job of its process until that counted as stuck.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

log = logging.getLogger("longshore.worker")

#: So much may wait to be told; beyond that it is not, and the log says so.
MOST: Final = 10_000
#: Where so much waits there should not be more for now.
FULL: Final = MOST // 2
#: Of what is not told the log speaks at most this often, and of a call that takes so long, seconds.
COMPLAIN: Final = 60.0


class Teller:
    """Calls one after the other, in order. The thread is started by the first call to make."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._began: float | None = None  # when the call that is under way began
        self._slow: float | None = None
        self._closed = False
        self._untold = 0
        self._complained = float("-inf")
        #: Called when nothing is left to tell, before that is seen.
        self.idle: Callable[[], None] = lambda: None

    def say(self, call: Callable[[], None]) -> None:
        """Have this called soon; what it raises is logged."""
        with self._changed:
            if self._closed:
                return  # what its process does at its end is best effort
            if len(self._calls) >= MOST:
                self._untold += 1
                self._complain()
                return
            self._calls.append(call)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._live, name="longshore-teller", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    @property
    def busy(self) -> bool:
        """Whether something is still to be told; of a call that takes very long the log tells."""
        began = self._began
        if began is not None and time.monotonic() - began >= COMPLAIN and self._slow != began:
            self._slow = began
            log.warning(
                "a listener or hook has taken %d s so far; who is to be told after it waits",
                COMPLAIN,
            )
        return began is not None or bool(self._calls)

    @property
    def full(self) -> bool:
        """Whether so much waits to be told that there should not be more for now."""
        return len(self._calls) >= FULL

    @property
    def ident(self) -> int | None:
        """Of its thread."""
        return None if self._thread is None else self._thread.ident

    def close(self, timeout: float) -> None:
        """Tell what waits, for so many seconds at most; nothing is told afterwards."""
        with self._changed:
            self._changed.wait_for(lambda: not self.busy, timeout)
            self._closed = True
            self._untold += len(self._calls)
            self._calls.clear()
            if self._untold:
                self._complained = float("-inf")
                self._complain()
            self._changed.notify_all()

    def _live(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._calls) or self._closed)
                if not self._calls:
                    return
                call = self._calls.popleft()
                self._began = time.monotonic()
            try:
                call()
            except BaseException:
                log.exception("telling what happened raised")
            if not self._calls:
                self.idle()
            with self._changed:
                self._began = None
                self._changed.notify_all()

    def _complain(self) -> None:
        now = time.monotonic()
        if now - self._complained >= COMPLAIN:
            self._complained = now
            log.error(
                "listeners and hooks take so long that %d calls were left out since the last such"
                " line; what takes long belongs into a job that a listener enqueues",
                self._untold,
            )
            self._untold = 0
