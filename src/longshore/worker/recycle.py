"""Which child has grown too large: another takes its place, and it goes when its jobs are over.

Memory that an application does not give back is given back by the end of a process. The successor
boots first, so that there is no gap; what the old child runs is not interrupted for it.
"""

from __future__ import annotations

import os
import sys

from longshore.worker.family import Child, Stage
from longshore.worker.journal import log

#: How often, in seconds, a child is looked at, and when again after one that was to be replaced.
LOOK, AGAIN = 1.0, 30.0
#: How long its jobs may take to end, in seconds: nobody waits for them.
PATIENCE = 7 * 86_400.0


class Recycling:
    """Looks at resident memory; ``most`` bytes, or ``None`` for no limit."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._next: dict[int, float] = {}  # by process: when it is looked at again

    def is_due(self, child: Child, now: float) -> bool:
        """Whether another child is to be started in its place; true once for a while."""
        if self._most is None or child.stage is not Stage.WORKING:
            return False
        if now < self._next.get(child.pid, 0.0):
            return False
        held = resident(child.pid)
        self._next[child.pid] = now + LOOK
        if held <= self._most:
            return False
        _, busy, ended, _ = child.beacon.read_head()
        if busy and not ended:
            return False  # its first job may be what is large; it is told apart when that has ended
        child.large = True
        self._next[child.pid] = now + AGAIN
        if not ended:
            # It has done nothing yet: so would its successor be, and the next.
            log.error(
                "child %d holds %d MiB before its first job, more than --max-rss %dM allows; it"
                " goes on: give it more",
                child.pid,
                held >> 20,
                self._most >> 20,
            )
            return False
        log.warning(
            "child %d holds %d MiB, more than %d; another takes its place, and it goes when its"
            " jobs have ended",
            child.pid,
            held >> 20,
            self._most >> 20,
        )
        return True

    def forget(self, child: Child) -> None:
        """It is gone."""
        self._next.pop(child.pid, None)


def resident(pid: int) -> int:
    """How many bytes of memory a process holds; 0 where that cannot be told."""
    if sys.platform != "linux":
        return 0
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 - once a second for each
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # it has just ended
        return 0
