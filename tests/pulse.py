"""Whether the machine goes on: a thread asks to be woken and to have a byte kept, and notes delays.

Virtual machines and their disks stand still now and then, for longer than a lease of the tests.
What runs in processes of its own then misses its times, and it is not the code that is at fault.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path

#: How often it looks, seconds.
BEAT = 0.2
#: From so many seconds of delay on the machine stood still.
STILL = 0.75


class Pulse:
    """Notes when the machine stood still, by the clock that all its processes share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._delays: list[tuple[float, float]] = []  # until when, and for how long
        self._last = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def start(self) -> None:
        # Here, for the thread may be slow to begin: what is missed from now on is a delay too.
        self._last = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def delays(self, since: float = 0.0) -> list[float]:
        """For how long the machine stood still each time since then, seconds."""
        return [delay for until, delay in self._delays if until >= since]

    def _look(self) -> None:
        with tempfile.TemporaryFile(dir=self._folder) as file:
            while not self._over.wait(BEAT):
                os.pwrite(file.fileno(), b".", 0)
                os.fsync(file.fileno())
                now = time.monotonic()
                delay = now - self._last - BEAT
                if delay >= STILL:
                    self._delays.append((now, delay))
                self._last = now
