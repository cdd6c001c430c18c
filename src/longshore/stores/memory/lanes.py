"""The available jobs of one queue in their order: by time, or by turns where values take turns."""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import TypeAlias

from longshore.core.limits import TURN
from longshore.core.turns import Turns
from longshore.stores.memory.row import Row

#: In a line: priority, when due, id, a serial number that no two entries share, the row.
#: An entry counts only while its number is its row's place; others are left until they come up.
Entry: TypeAlias = tuple[int, int, str, int, Row]


class Lane:
    """Jobs by priority, time due and id.

    Most jobs come in order and wait in ``ordered``, which costs next to nothing; those that come
    out of order wait in the heap ``others``.
    """

    __slots__ = ("ordered", "others", "ruled", "stale")

    def __init__(self) -> None:
        self.ordered: deque[Entry] = deque()
        self.others: list[Entry] = []
        self.stale = 0  # entries whose row does not point at them any more
        self.ruled = False  # whether rules of a job in here may say that it is not its time

    def add(self, entry: Entry) -> None:
        ordered = self.ordered
        if not ordered or ordered[-1] < entry:
            ordered.append(entry)
        else:
            heappush(self.others, entry)

    def head(self) -> Entry | None:
        """The first entry that counts."""
        ordered, others = self.ordered, self.others
        while ordered and ordered[0][4].place != ordered[0][3]:
            ordered.popleft()
            self.stale -= 1
        while others and others[0][4].place != others[0][3]:
            heappop(others)
            self.stale -= 1
        if ordered and not (others and others[0] < ordered[0]):
            return ordered[0]
        return others[0] if others else None

    first = head

    def pop(self) -> Row | None:
        """Take out the first row."""
        ordered = self.ordered
        head = self.head()
        if head is None:
            self.ruled = False
            return None
        if ordered and ordered[0] is head:
            ordered.popleft()
        else:
            heappop(self.others)
        row = head[4]
        row.place = 0
        return row

    def take(self, wanted: int) -> list[Row]:
        """Take out the first rows, at most as many as wanted."""
        ordered = self.ordered
        taken: list[Row] = []
        while len(taken) < wanted:
            if self.others or not ordered:
                row = self.pop()
                if row is None:
                    break
            else:  # nearly always
                entry = ordered.popleft()
                row = entry[4]
                if row.place != entry[3]:
                    self.stale -= 1
                    continue
                row.place = 0
            taken.append(row)
        return taken

    def used(self, row: Row) -> None:
        """The row that was taken out last is claimed: nobody counts turns here."""

    def forget(self, row: Row) -> None:  # noqa: ARG002 - one stale entry is like another
        """The entry of a row has become stale; when they are the most, rid the line of them."""
        self.stale += 1
        if self.stale > 1000 and self.stale * 2 > len(self.ordered) + len(self.others):
            self.ordered = deque(entry for entry in self.ordered if entry[4].place == entry[3])
            self.others = [entry for entry in self.others if entry[4].place == entry[3]]
            heapify(self.others)
            self.stale = 0


#: A value that may be next: where its turn starts if that is later than the clock (else 0), when
#: its first job is due, that job's id, the number of the entry, the number of this listing.
Listing: TypeAlias = tuple[int, int, str, int, int, "_Value"]


class TurnLane:
    """Jobs by priority and then by turns of their values: the lane of a queue with fair jobs."""

    __slots__ = ("_given", "_levels")

    ruled = True

    def __init__(self, lane: Lane) -> None:
        """Take over the jobs of the lane that this queue has had so far."""
        self._levels: dict[int, _Level] = {}
        self._given: tuple[_Level, str] | None = None
        for entry in [*lane.ordered, *lane.others]:
            if entry[4].place == entry[3]:
                self.add(entry)

    def add(self, entry: Entry) -> None:
        level = self._levels.get(entry[0])
        if level is None:
            level = self._levels[entry[0]] = _Level()
        level.add(entry)

    def head(self) -> Entry | None:
        """The entry whose turn it is."""
        level = self._level()
        return None if level is None else level.head()

    def first(self) -> Entry | None:
        """The entry that would come first if there were no turns."""
        level = self._level()
        return None if level is None else level.first()

    def pop(self) -> Row | None:
        """Take out the row whose turn it is, which does not use the turn yet."""
        level = self._level()
        if level is None:
            return None
        # Where only jobs without a value are ready, nobody uses a turn.
        by_turns = level.fair > 0
        row = level.pop()
        self._given = (level, value_of(row)) if by_turns else None
        return row

    def used(self, row: Row) -> None:
        """The row that was taken out last is claimed."""
        if self._given is not None:
            level, key = self._given
            rules = row.new.rules
            level.used(key, TURN if rules is None or rules.fair is None else rules.fair.step)

    def forget(self, row: Row) -> None:
        """The entry of a row has become stale."""
        self._levels[row.priority].forget(row)

    def _level(self) -> _Level | None:
        there = [priority for priority, level in self._levels.items() if level.count]
        return self._levels[min(there)] if there else None


class _Value:
    """The jobs of one value at one priority of a queue."""

    __slots__ = ("key", "listed", "rows")

    def __init__(self, key: str) -> None:
        self.key = key
        self.rows = Lane()
        self.listed = 0  # the number of the one listing that counts


class _Level:
    """One priority of a queue: who is next is at hand, however many values there are.

    Each value that has a job is listed once. Those whose turn starts now wait in ``here``, by
    their first jobs; those that have to wait for the clock in ``later``, by that start.
    """

    __slots__ = ("count", "fair", "here", "later", "listings", "most", "turns", "values")

    def __init__(self) -> None:
        self.turns = Turns(0, {})
        self.values: dict[str, _Value] = {}
        self.here: list[Listing] = []
        self.later: list[Listing] = []
        self.listings = 0
        self.count = 0  # jobs that are ready
        self.fair = 0  # and how many of them have a value
        self.most = 100  # how many ends are kept before it is asked which still tell anything

    def add(self, entry: Entry) -> None:
        key = value_of(entry[4])
        value = self.values.get(key)
        if value is None:
            value = self.values[key] = _Value(key)
        value.rows.add(entry)
        self.count += 1
        if key:
            self.fair += 1
        if value.rows.head() is entry:
            self._list(value)

    def head(self) -> Entry | None:
        """The first job of the value whose turn it is."""
        while heap := self.here or self.later:
            _, _, _, number, listing, value = heap[0]
            if listing == value.listed:
                head = value.rows.head()
                if head is not None and head[3] == number:
                    return head
                # Its first job has left in another way; what comes now is later.
                heappop(heap)
                self._list(value)
            else:
                heappop(heap)
        return None

    def first(self) -> Entry | None:
        """The first of all by time."""
        heads = [value.rows.head() for value in self.values.values()]
        return min((head for head in heads if head is not None), default=None)

    def pop(self) -> Row:
        """Take out the head, which is there."""
        self.head()
        value = heappop(self.here or self.later)[5]
        row = value.rows.pop()
        assert row is not None  # noqa: S101 - it is the head
        self._less(value.key)
        self._list(value)
        return row

    def used(self, key: str, step: int) -> None:
        """A job of this value is claimed: its turn is over, and the clock goes on."""
        turns = self.turns
        turns.take(key, step)
        if key in self.values:
            self._list(self.values[key])
        later = self.later
        while later and later[0][0] <= turns.clock:
            item = heappop(later)
            if item[4] == item[5].listed:
                heappush(self.here, (0, *item[1:]))
        if len(turns.ends) > self.most:
            turns.tidy()
            self.most = 100 + 2 * len(turns.ends)

    def forget(self, row: Row) -> None:
        """A job has left in another way; its value is listed anew when that comes up."""
        key = value_of(row)
        self.values[key].rows.forget(row)
        self._less(key)

    def _less(self, key: str) -> None:
        self.count -= 1
        if key:
            self.fair -= 1

    def _list(self, value: _Value) -> None:
        """List a value anew by its first job; without one it is not there any more."""
        head = value.rows.head()
        if head is None:
            value.listed = 0
            self.values.pop(value.key, None)
            return
        self.listings += 1
        value.listed = self.listings
        start = self.turns.ends.get(value.key, 0)
        waits = start > self.turns.clock
        listing = (start if waits else 0, head[1], head[2], head[3], value.listed, value)
        heappush(self.later if waits else self.here, listing)


def value_of(row: Row) -> str:
    """Whose turn a row uses; rows without a value are one value together."""
    rules = row.new.rules
    return "" if rules is None or rules.fair is None else rules.fair.key
