"""Says so when a body blocks the event loop: all other coroutine jobs of a process wait for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import CO_COROUTINE
from types import FrameType

from longshore.worker.journal import log
from longshore.worker.slots import AsyncLane

#: A loop that does not turn for so long is blocked, seconds.
BLOCKED = 1.0


class LoopWatch:
    """Looked through by a thread of its process from time to time. It ends with the lane."""

    def __init__(self, lane: AsyncLane, clock: Callable[[], float]) -> None:
        self._lane = lane
        self._clock = clock
        self._asked_at: float | None = None
        self._told = False

    def look(self) -> None:
        """Ask the loop for a sign of life; warn when it has not answered for long, once."""
        if not self._lane.running():
            return
        now = self._clock()
        if self._asked_at is None:
            self._asked_at = now
            self._lane.call(self._answered)
        elif now - self._asked_at >= BLOCKED and not self._told:
            self._told = True
            self._warn(now - self._asked_at)

    def _answered(self) -> None:
        if self._told and self._asked_at is not None:
            log.warning("the event loop goes on after %.1f s", self._clock() - self._asked_at)
        self._asked_at, self._told = None, False

    def _warn(self, lasted: float) -> None:
        run = self._lane.current()
        who = "a task"
        if run is not None:
            who = f"job {run.claimed.id} ({run.claimed.kind})"
        log.warning(
            "event loop blocked for %.1f s by %s%s: %d coroutine jobs of this process wait. Await"
            " what takes long, or make it an ordinary job",
            lasted,
            who,
            self._where(),
            len(self._lane.running()),
        )

    def _where(self) -> str:
        """In which line of the coroutine, which may have called others that block."""
        # Documented, in spite of its name.
        frames: dict[int, FrameType] = vars(sys)["_current_frames"]()
        frame = frames.get(self._lane.thread_id)
        while frame is not None and not frame.f_code.co_flags & CO_COROUTINE:
            frame = frame.f_back
        return "" if frame is None else f" in {frame.f_code.co_filename}:{frame.f_lineno}"
