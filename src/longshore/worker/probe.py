"""Whether a worker would start anew, before the one that works is ended for it.

After HUP a fresh process loads the application as it is now, as a child does. Only when that has
gone well does the worker drain: a fault in the code must not leave nobody to run jobs.
"""

from __future__ import annotations

import selectors
import time

from longshore.worker.control import Boot, Hello, Refused, Unreadable, Waiting, parent_channel
from longshore.worker.crash import ended
from longshore.worker.journal import log
from longshore.worker.launch import BOOT_LIMIT, Launch, Launches
from longshore.worker.options import WorkerOptions


class Probes:
    """At most one probe at a time, whose socket a selector wakes for."""

    def __init__(
        self, options: WorkerOptions, launches: Launches, selector: selectors.BaseSelector
    ) -> None:
        self._options = options
        self._launches = launches
        self._selector = selector
        self._probe: Probe | None = None

    @property
    def pids(self) -> list[int]:
        """The process that probes, if one does."""
        return [] if self._probe is None else [self._probe.pid]

    def begin(self) -> None:
        """Load the application as it is now; one that is under way is given up."""
        self.end()
        try:
            self._probe = Probe(self._options, self._launches.take())
        except OSError as error:
            log.error("this worker goes on with what it runs: no process could start: %s", error)
            return
        self._selector.register(self._probe.socket, selectors.EVENT_READ, self._probe)

    def has_loaded(self, now: float) -> bool:
        """Whether it is known by now that the application loads; that it does not is told."""
        if self._probe is None or not self._probe.look(now):
            return False
        fault = self._probe.fault
        self.end()
        if fault is not None:
            log.error("the code does not load; this worker goes on with what it has: %s", fault)
        return fault is None

    def end(self) -> None:
        """Give up what is under way."""
        if self._probe is not None:
            self._selector.unregister(self._probe.socket)
            self._probe.end()
            self._probe = None


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
                # It is loaded: it waits for a store that is away, or speaks as another release.
                case Hello() | Waiting() | Unreadable():
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
