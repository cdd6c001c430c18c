"""The process of a child from the moment it is started; who watches it is loaded meanwhile.

Nothing here needs the store, the messages or the application, so a supervisor starts its first
children before it loads its own parts: two interpreters boot side by side, not in a row.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

from longshore.worker.beacon import Beacon
from longshore.worker.crash import CrashFile
from longshore.worker.shared import Pace
from longshore.worker.turnstile import Turnstile, abreast

#: How long a process may take until it has loaded the application, seconds.
BOOT_LIMIT = 120.0


class Launch:
    """A process that has been started and heard nothing yet: its socket, page and crash file.

    Whoever takes it closes these; one that nobody takes ends by :meth:`abandon`. ``more``:
    descriptors that all children of its worker are given.
    """

    def __init__(self, *more: int) -> None:
        ours, theirs = socket.socketpair()
        memory = Beacon.create()
        self.socket = ours
        self.beacon = Beacon(memory)
        self.crash_file = CrashFile()
        try:
            with theirs:
                fds = (theirs.fileno(), memory, self.crash_file.descriptor, *more)
                self.popen = subprocess.Popen(
                    [sys.executable, "-m", "longshore.programs.child", *map(str, fds)],
                    pass_fds=fds,
                    stdin=subprocess.DEVNULL,
                )
        except OSError:
            self._close()
            raise
        finally:
            os.close(memory)

    def abandon(self) -> None:
        """End it; it has not worked yet."""
        self.popen.kill()
        self.popen.wait()
        self._close()

    def _close(self) -> None:
        self.socket.close()
        self.beacon.close()
        self.crash_file.close()


class Launches:
    """Processes for the first children of a worker, and after them one for each that is asked for.

    Where they are more than may claim at a time they go through a turnstile. It ends with
    :meth:`close`, which ends those that nobody has taken.
    """

    def __init__(self, number: int) -> None:
        self._ready: list[Launch] = []
        self.turnstile = Turnstile(abreast() if number > abreast() else 0)
        line = self.turnstile.descriptors
        self._shared = [Pace.create()] if line else []
        self._more = (*line, *self._shared)
        # Who cannot have them all now asks again, and says so, when it takes them.
        with contextlib.suppress(OSError):
            for _ in range(number):
                self._ready.append(Launch(*self._more))

    def take(self) -> Launch:
        """One that boots already, or else a new one; raises :class:`OSError` if it cannot be."""
        return self._ready.pop(0) if self._ready else Launch(*self._more)

    def drop(self) -> None:
        """End what was not taken: nobody needs it."""
        while self._ready:
            self._ready.pop().abandon()

    def close(self) -> None:
        """The same at the end of the worker."""
        self.drop()
        self.turnstile.close()
        while self._shared:
            os.close(self._shared.pop())
