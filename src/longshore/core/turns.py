"""Turns between the values of ``fair_by``: weighted fair queueing by virtual time.

Each queue and priority has a virtual time of its own, which is the start of the turn taken last. A
value starts where its last turn ended, but never before the virtual time: who was idle has saved
nothing up. The value that starts first is next; of those that start together, the one whose first
job is first.

Source: Goyal, Vin and Cheng, "Start-time Fair Queuing", SIGCOMM 1996.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

#: Where the first job of a value stands among its own: when it is due, and its id.
Head: TypeAlias = tuple[int, str]


class Turns:
    """The virtual time of one queue and priority, and where the last turn of each value ended.

    A value that ended at or before the virtual time needs no entry.

    Example:
        >>> turns = Turns(0, {})
        >>> turns.next({"a": (1, "x"), "b": (2, "y")})
        'a'
        >>> turns.take("a", 1_000_000)
        >>> turns.next({"a": (1, "x"), "b": (2, "y")})
        'b'
    """

    __slots__ = ("clock", "ends")

    def __init__(self, clock: int, ends: Mapping[str, int]) -> None:
        self.clock = clock
        self.ends = dict(ends)

    def start(self, key: str) -> int:
        """Where the next turn of a value begins."""
        return max(self.clock, self.ends.get(key, 0))

    def next(self, heads: Mapping[str, Head]) -> str:
        """Whose turn it is of those that have a job."""
        return min(heads, key=lambda key: (self.start(key), heads[key]))

    def take(self, key: str, step: int) -> None:
        """A job of this value is claimed."""
        self.clock = self.start(key)
        self.ends[key] = self.clock + step

    def tidy(self) -> None:
        """Forget what no longer tells anything."""
        self.ends = {key: end for key, end in self.ends.items() if end > self.clock}
