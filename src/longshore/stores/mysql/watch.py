"""Waiting for a hint by looking: this server tells nobody anything by itself.

A look reads the ends of three indexes: the newest job, the first one that is ready, the latest
count of ended jobs. It costs an insert nothing. Looks follow each other quickly while something
goes on, and slowly when nothing has for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeAlias

#: The shortest and the longest time between two looks, seconds; in between it is this part of the
#: time in which nothing has happened.
SHORTEST = 0.003
LONGEST = 0.1
PART = 0.05

Seen: TypeAlias = object


class MySQLWatch:
    """Looks for jobs that arrive or end; see :class:`longshore.core.store.Watch`."""

    def __init__(self, look: Callable[[], Seen | None]) -> None:
        self._look = look
        self._woken = threading.Event()
        self._closed = False
        self._seen: Seen | None = None
        self._changed_at = time.monotonic()

    def wait(self, timeout: float) -> bool:
        """Block until something has arrived or ended, or :meth:`wake`, or the time is over."""
        end = time.monotonic() + timeout
        while not self._closed:
            if self._changed():
                return True
            now = time.monotonic()
            pause = min(max((now - self._changed_at) * PART, SHORTEST), LONGEST)
            if self._woken.wait(max(0.0, min(end - now, pause))):
                self._woken.clear()
                return False
            if end - now <= pause:
                return False
        return False

    def wake(self) -> None:
        """End the present or next wait."""
        self._woken.set()

    def close(self) -> None:
        """Look no more; a wait ends at once."""
        self._closed = True
        self._woken.set()

    def _changed(self) -> bool:
        # A look that failed is no hint: whoever waits looks by itself from time to time.
        seen = self._look()
        if seen is None or seen == self._seen:
            return False
        self._seen = seen
        self._changed_at = time.monotonic()
        return True
