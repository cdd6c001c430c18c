"""One process of several that end together, when none of them has anything left to do.

Who finds nothing may be wrong the next moment: what another process runs may enqueue more. So a
process that would end says that it rests, and goes on looking. When all rest the supervisor says
that it is enough; then each ends by itself as soon as it has nothing, which may be after one more
job that came meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from longshore.core.store import Store
from longshore.worker.engine import Engine
from longshore.worker.journal import Journal
from longshore.worker.perform import Performer
from longshore.worker.plan import Beacon, Plan


class Member(Engine):
    """An engine that asks before it ends for want of jobs; after so many jobs it just ends."""

    def __init__(
        self, store: Store, plan: Plan, performer: Performer, journal: Journal, beacon: Beacon
    ) -> None:
        super().__init__(store, plan, performer, journal, beacon)
        #: Told that it has nothing left, and that it has something again.
        self.rests: Callable[[bool], None] = lambda _on: None
        self._resting = self._enough = False

    def enough(self) -> None:
        """The others have nothing left either."""
        self._enough = True
        self.look()

    def _finished(self, now: float) -> bool:
        ended = super()._finished(now)
        if self._resting and self._inflight:
            self._rest(on=False)
        if not self.done or self._enough or self.room.left == 0:
            return ended
        self.done = False
        self._rest(on=True)
        return False

    def _rest(self, *, on: bool) -> None:
        if self._resting is not on:
            self._resting = on
            self.rests(on)
