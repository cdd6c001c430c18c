"""What is counted under the key of a limit, and the jobs that wait behind it."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TypeAlias

from longshore.core.limits import PARTS, Limit, opens_at, part_of, started
from longshore.stores.memory.lanes import Entry, Lane
from longshore.stores.memory.row import Row

#: Where a blocked row waits: its queue, and the limit as its job declares it (``None``: its kind).
#: Jobs of one key may declare different numbers; one that may not start hides none that may.
Spot: TypeAlias = tuple[str, Limit | None]


class Gate:
    """The jobs that are blocked by one key, in each queue in their order."""

    __slots__ = ("count", "counts", "lanes")

    def __init__(self) -> None:
        self.lanes: dict[Spot, Lane] = {}
        self.counts: dict[Spot, int] = {}
        self.count = 0

    def add(self, spot: Spot, entry: Entry) -> None:
        lane = self.lanes.get(spot)
        if lane is None:
            lane = self.lanes[spot] = Lane()
            self.counts[spot] = 0
        lane.add(entry)
        self._more(spot, 1)

    def forget(self, spot: Spot, row: Row) -> None:
        """A row has left in another way; its entry is stale."""
        self.lanes[spot].forget(row)
        self._more(spot, -1)

    def take(self, spot: Spot, most: int) -> list[Row]:
        """Take out the first rows of a spot."""
        rows = self.lanes[spot].take(most)
        self._more(spot, -len(rows))
        return rows

    def first(self) -> Row | None:
        """The first row of all queues."""
        heads = [lane.head() for lane in self.lanes.values()]
        return min(head for head in heads if head is not None)[4] if self.count else None

    def _more(self, spot: Spot, rows: int) -> None:
        self.count += rows
        self.counts[spot] += rows
        if not self.counts[spot]:
            del self.lanes[spot], self.counts[spot]


class Starts:
    """The starts of one rate key; ``limit`` is the one that the latest was counted under."""

    __slots__ = ("_count", "_counted", "limit", "parts")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        #: By part of the period: when the latest started, how many, when all count no more.
        self.parts: dict[int, tuple[int, int, int]] = {}
        self._counted = (0, 0)
        self._count = 0

    def inside(self, per: int, now: int) -> int:
        """How many starts the window that ends now has seen."""
        # A claim asks again for each job that it meets.
        if self._counted != (per, now):
            self._counted = (per, now)
            self._count = started(self._ledger(), per, now)
        return self._count

    def add(self, per: int, now: int) -> int | None:
        """One more start; a number is a new part's."""
        number = part_of(now, per)
        part = self.parts.get(number)
        if part is None:
            if len(self.parts) > PARTS:
                self.parts = {key: one for key, one in self.parts.items() if one[2] > now}
            self.parts[number] = (now, 1, now + per)
        else:
            at, starts, gone_at = part
            self.parts[number] = (max(at, now), starts + 1, max(gone_at, now + per))
        if self._counted == (per, now):
            self._count += 1
        else:
            self._counted = (0, 0)
        return number if part is None else None

    def opens_at(self, per: int, now: int) -> int | None:
        """When the next starts leave the window."""
        return opens_at(self._ledger(), per, now)

    def forget(self, number: int) -> None:
        """A part counts no more."""
        del self.parts[number]
        self._counted = (0, 0)

    def _ledger(self) -> list[tuple[int, int]]:
        return sorted((at, starts) for at, starts, _ in self.parts.values())


class Times:
    """Keys by the time at which something is to be done for each; a new time replaces the old."""

    __slots__ = ("_at", "_heap")

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def get(self, key: str) -> int | None:
        return self._at.get(key)

    def set(self, key: str, at: int | None) -> None:
        """``None``: no time at all."""
        if at is None:
            self._at.pop(key, None)
        elif self._at.get(key) != at:
            self._at[key] = at
            heappush(self._heap, (at, key))

    def earliest(self) -> int | None:
        heap = self._heap
        while heap and self._at.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def over(self, now: int) -> list[str]:
        """Take out the keys whose time has come, the earliest first."""
        keys: list[str] = []
        while (at := self.earliest()) is not None and at <= now:
            key = heappop(self._heap)[1]
            del self._at[key]
            keys.append(key)
        return keys
