"""Whether a worker would start anew, before the one that works is ended for it.

After HUP a fresh process loads the application as it is now, as a child does. Only when that has
gone well does the worker drain: a fault in the code must not leave nobody to run jobs.
"""

from __future__ import annotations

import time

from longshore.worker.control import Boot, Hello, Refused, Waiting, parent_channel
from longshore.worker.crash import ended
from longshore.worker.launch import BOOT_LIMIT, Launch
from longshore.worker.options import WorkerOptions


class Probe:
    """A child that is never told to go. It ends with :meth:`end`."""

    def __init__(self, options: WorkerOptions, launch: Launch) -> None:
        self._launch = launch
        self._until = time.monotonic() + BOOT_LIMIT
        self.socket = launch.socket
        self.socket.settimeout(0)
        self._channel = parent_channel(self.socket)
        self._channel.send(Boot(options))
        #: Why not, once it is known that the worker would not start.
        self.fault: str | None = None

    @property
    def pid(self) -> int:
        return self._launch.popen.pid

    def look(self, now: float) -> bool:
        """Whether it is known by now; then ``fault`` says how it went."""
        dead = self._launch.popen.poll()  # before the look: what it had said last is there then
        messages = self._channel.receive()
        for message in messages or ():
            match message:
                case Hello() | Waiting():  # it is loaded; a store that is away is waited for
                    return True
                case Refused(message=why):
                    self.fault = why
                    return True
                case _:
                    pass
        if messages is None or (dead is not None and not messages):
            how = "" if dead is None else f": {ended(dead)}"
            self.fault = f"its process ended before it was up{how}"
        elif now > self._until:
            self.fault = f"it did not boot within {BOOT_LIMIT:g} s"
        return self.fault is not None

    def end(self) -> None:
        """Kill it; it has claimed nothing."""
        self._launch.abandon()
