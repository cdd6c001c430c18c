"""Rules of the state machine: what comes late or twice, from processes that may be long gone."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import rule

from longshore.core.store import Beat, ProcessBeat
from longshore.testing.conformance.bench import LEASE
from longshore.testing.machine_parts import Parts, agree

BACK: Final = st.integers(1, 5)


class LateRules(Parts):
    """Requests whose reply was lost, or that were planned by an old look at the store."""

    @rule(back=BACK)
    def insert_again(self, back: int) -> None:
        """The reply was lost; in the meantime the jobs may have run, ended and been deleted."""
        if self.inserted:
            self.store(self.inserted[-min(back, len(self.inserted))])

    @rule(back=BACK, renews=st.booleans())
    def beat_late(self, back: int, *, renews: bool) -> None:
        """A process that has been replaced is still there, or says what it said long ago."""
        name = self.names[-min(back, len(self.names))]
        beat = Beat((ProcessBeat(name, 0),), LEASE if renews else None)
        orders, expected = self.bench.do(self.bench.store.beat(beat)), self.model.beat(beat)
        agree(orders.lost, expected.lost)
        agree(set(orders.cancels), set(expected.cancels))
        self.compare()

    @rule(back=BACK)
    def rescue_late(self, back: int) -> None:
        """From what was seen before others claimed the same jobs."""
        if self.rescued:
            self.rescue_with(self.rescued[-min(back, len(self.rescued))])
