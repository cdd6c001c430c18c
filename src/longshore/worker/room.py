"""How many jobs a process has had, and for how many more it has room."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.core.model import Ending
from longshore.running import RunState
from longshore.worker.claims import went_back
from longshore.worker.lanes import Lanes
from longshore.worker.plan import Plan


class Room:
    """Only the store thread asks and changes it. ``most``: how many jobs one claim may bring."""

    def __init__(self, plan: Plan, lanes: Lanes, most: int) -> None:
        self._plan = plan
        self._lanes = lanes
        self._most = most
        #: How many jobs the process has claimed and did not give back unstarted.
        self.claimed = 0
        #: How many of these are over.
        self.ended = 0
        #: Every slot is busy with something long: hold nothing ahead.
        self.crowded = False
        #: Wake the store thread when no more jobs than this are ready.
        self.low = 0
        #: How many jobs an answer brought and took that is not taken in yet.
        self.coming = self.going = 0

    @property
    def left(self) -> int:
        """How many more jobs the process may run in its life."""
        return self._plan.left(self.claimed + self.coming)

    def over(self, batch: Sequence[tuple[RunState, Ending]]) -> int:
        """These runs are over; how many of them go back although their body had begun."""
        cut_short, unbegun = went_back(batch)
        self.ended += len(batch) - unbegun
        self.claimed -= unbegun
        return cut_short

    def more(self, unfinished: int, starved: int | None) -> int:
        """How many jobs to ask for, with so many here; ``starved`` as the lanes say it."""
        slots, durations = self._plan.slots, self._lanes.durations
        portion = durations.portion
        room = slots if self.crowded else durations.room(slots)
        free = min(room - unfinished, self.left)
        # Small claims cost as much as large ones: wait until the buffer is half empty, unless a
        # slot has nothing to do.
        ahead = room - slots
        self.low = max(ahead // 2, ahead - portion)
        waiting = self._lanes.waiting + self.coming
        if free <= 0 or (waiting > self.low and free < portion):
            return 0
        return min(free, self._most, max(portion, slots), starved or free)
