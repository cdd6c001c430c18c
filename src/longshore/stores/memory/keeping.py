"""Ended rows of the memory store until their time is over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeAlias

from longshore.stores.memory.row import Row

Adder: TypeAlias = Callable[[Row], None]


class Keeping:
    """Rows that are kept equally long end in the order of their ends, so they wait in one line.

    A line for each duration costs a row nothing but its place; only what a clock that was set
    back brings out of order is sorted.
    """

    def __init__(self) -> None:
        self._lines: dict[int, deque[Row]] = {}
        self._latest: dict[int, int] = {}
        self._sorted: list[tuple[int, int, Row]] = []
        self._serial = 0
        self._gone: dict[tuple[int, str], int] = {}

    def adder(self, duration: int, until: int) -> Adder:
        """What takes in rows that end now and are kept ``duration`` microseconds, to ``until``."""
        if until < self._latest.get(duration, 0):
            return self._sort
        self._latest[duration] = until
        return self._lines.setdefault(duration, deque()).append

    def keep(self, row: Row) -> None:
        """Take in a row for longer than it was to stay."""
        self._sort(row)

    def leave(self, row: Row) -> None:
        """An ended row goes on; it may end again, and be in here twice."""
        if row.kept_until is None or row.finalized_at is None:
            return
        # What is sorted is known by its time, which the row loses as it goes on.
        if not any(other is row for _, _, other in self._sorted):
            key = (row.kept_until - row.finalized_at, row.new.id)
            self._gone[key] = self._gone.get(key, 0) + 1

    def over(self, now: int) -> Row | None:
        """Take out the row whose time was over first; ``None`` if none is over."""
        while True:
            firsts = [
                (line[0].kept_until or 0, duration)
                for duration, line in self._lines.items()
                if self._counts(duration, line)
            ]
            until, duration = min(firsts, default=(now + 1, 0))
            if self._sorted and self._sorted[0][0] < until:
                at, _, row = self._sorted[0]
                if at > now:
                    return None
                heappop(self._sorted)
                if row.kept_until == at:
                    return row
            elif until <= now:
                return self._lines[duration].popleft()
            else:
                return None

    def _counts(self, duration: int, line: deque[Row]) -> bool:
        """Rid a line of first rows that have left it; whether one is there that counts."""
        while line:
            row = line[0]
            key = (duration, row.new.id)
            left = self._gone.get(key, 0)
            if not left:
                return True
            line.popleft()
            if left == 1:
                del self._gone[key]
            else:
                self._gone[key] = left - 1
        return False

    def _sort(self, row: Row) -> None:
        self._serial += 1
        heappush(self._sorted, (row.kept_until or 0, self._serial, row))
