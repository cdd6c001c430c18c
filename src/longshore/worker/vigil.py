"""Whether a child makes progress, seen from outside: liveness is progress, not a heartbeat.

A child is stuck when its store thread has not turned for ``stall_after`` although another of its
threads ticks, or when the process is stopped for so long. Where nothing of it turns or ticks and
the system says that it runs or waits, a body keeps the interpreter: in C code, or holding its lock.
That is work, and it goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

#: So many ticks while the store thread does not turn show that it could have.
TICKS = 3
#: Looks that are further apart than this, in seconds, were made by somebody who was stopped too.
GAP = 2.0


class Signs(Protocol):
    """What a child shows."""

    def read_signs(self) -> tuple[int, int]:
        """Turns of its store thread, and ticks of the thread beside it."""
        ...


class Vigil:
    """Over one child; it ends with it. Times are seconds of a clock that only goes forward."""

    def __init__(self, stall_after: float) -> None:
        self._stall_after = stall_after
        self._looked: float | None = None
        self._turns = self._ticks = -1
        self._turned_at = self._ticked_at = 0.0
        self._ticks_then = 0
        self._stopped_at: float | None = None
        #: What is wrong, once it has been for half of ``stall_after``.
        self.doubt: str | None = None

    def look(self, signs: Signs, pid: int, now: float, *, store_answers: bool) -> str | None:
        """Why this child has to be replaced now; ``None`` while it need not be.

        While the store does not answer, a store thread that waits for it is not stuck.
        """
        turns, ticks = signs.read_signs()
        away = self._looked is None or now - self._looked > GAP
        self._looked = now
        if turns != self._turns or away or not store_answers:
            self._turns, self._turned_at, self._ticks_then = turns, now, ticks
        if ticks != self._ticks or away:
            self._ticks, self._ticked_at = ticks, now
        quiet = now - self._ticked_at > min(1.0, self._stall_after / 4)
        if not (quiet and is_stopped(pid)):
            self._stopped_at = None
        elif self._stopped_at is None:
            self._stopped_at = now
        what, since = None, now
        if self._stopped_at is not None:
            what, since = "is stopped", self._ticked_at
        elif not quiet and ticks - self._ticks_then >= TICKS:
            what, since = "does not turn its store thread", self._turned_at
        lasted = now - since
        self.doubt = what if lasted >= self._stall_after / 2 else None
        if what is None or lasted < self._stall_after:
            return None
        return f"{what}, for {lasted:.1f} s"


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal; unknown counts as no."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return False
    return bool(state) and state[0] == "T"
