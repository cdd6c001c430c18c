"""The next jobs of queues as far as they have been read: in order, in turns, and merged.

No I/O. Rows are as the queries ``ready_heads`` and ``fair_heads`` give them: priority,
scheduled_at, id, queue, kind, rules, and the value that takes turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import chain
from typing import Final, Protocol

from longshore.core.turns import Head
from longshore.stores.sql.statements import Row

#: The row of the virtual time; a value begins with ``=`` or is empty.
CLOCK: Final = "*"


class Level:
    """The turns of one queue and priority; as :class:`longshore.core.turns.Turns`, for many values.

    Values that may start now wait in the order of their first jobs, the others in that of their
    times.
    """

    __slots__ = ("_later", "_now", "clock", "ends", "moved", "place", "rows")

    def __init__(self, place: tuple[str, int], turns: Mapping[str, int]) -> None:
        """``turns``: where the last turns ended, and the virtual time beside them."""
        self.place = place
        self.clock = turns.get(CLOCK, 0)
        self.ends = {value: end for value, end in turns.items() if value != CLOCK}
        self.moved: set[str] = set()  # values that have taken turns
        self.rows: dict[str, list[Row]] = {}
        self._now: list[tuple[int, str, str]] = []
        self._later: list[tuple[int, int, str, str]] = []

    def fill(self, rows: dict[str, list[Row]]) -> None:
        """The jobs of each value, the first one last."""
        self.rows = rows
        for value in rows:
            self._queue(value)

    def first(self) -> Row:
        """The job whose turn it is; there is one."""
        return self.rows[self.value()][-1]

    def value(self) -> str:
        """Whose turn it is; there is a job."""
        while self._later and self._later[0][0] <= self.clock:
            _, at, job_id, value = heappop(self._later)
            heappush(self._now, (at, job_id, value))
        return self._now[0][2] if self._now else self._later[0][3]

    def drop(self, step: int | None) -> str:
        """Leave that job behind and say whose it was; with a ``step`` it has used the turn."""
        value = self.value()
        if self._now:
            heappop(self._now)
        else:
            heappop(self._later)
        self.rows[value].pop()
        if step is not None:
            self.clock = max(self.clock, self.ends.get(value, 0))
            self.ends[value] = self.clock + step
            self.moved.add(value)
        self._queue(value)
        return value

    def _queue(self, value: str) -> None:
        rows = self.rows[value]
        if not rows:
            return
        _, at, job_id, *_ = rows[-1]
        end = self.ends.get(value, 0)
        if end > self.clock:
            heappush(self._later, (end, at, job_id, value))
        else:
            heappush(self._now, (at, job_id, value))

    def take(
        self, heads: Mapping[str, Sequence[Head]], steps: Mapping[str, int], count: int, each: int
    ) -> list[str]:
        """Take the next jobs, at most so many, where nothing is left behind; the ids.

        Then it is known beforehand when each turn starts: the first one of a value now or where its
        last one ended, each other where the one before it ends. It ends with the last job of a
        value of which ``each`` have been read: more may follow it.
        """
        line: list[tuple[int, int, str, str]] = []
        for value, jobs in heads.items():
            start, step = max(self.clock, self.ends.get(value, 0)), steps[value]
            for at, job_id in jobs:
                line.append((start, at, job_id, value))
                start += step
        line.sort()
        left = {value: each for value, jobs in heads.items() if len(jobs) >= each}
        for number, (_, _, _, value) in enumerate(line[:count], 1):
            if value in left:
                left[value] -= 1
                if not left[value]:
                    count = number
                    break
        taken = line[:count]
        if taken:
            self.clock = taken[-1][0]
            self.ends.update([(value, start + steps[value]) for start, _, _, value in taken])
            self.moved.update([turn[3] for turn in taken])
        return [turn[2] for turn in taken]


class Upcoming(Protocol):
    """The next jobs of a line, as far as they have been read."""

    @property
    def short(self) -> bool:
        """Whether one has to read on to know which is next."""
        ...

    def first(self) -> Row | None:
        """The next job."""
        ...

    def drop(self, step: int | None) -> None:
        """Leave it behind; with a ``step`` it is taken."""
        ...


class Heads(Upcoming, Protocol):
    """Those of one queue."""

    def rows(self) -> Iterable[Row]:
        """All that has been read, in no order."""
        ...


class InOrder:
    """A queue in which nobody takes turns."""

    __slots__ = ("_rows", "_whole")

    def __init__(self, rows: Sequence[Row], *, whole: bool) -> None:
        """``whole``: nothing follows these rows."""
        self._rows = list(reversed(rows))
        self._whole = whole

    @property
    def short(self) -> bool:
        return not (self._rows or self._whole)

    def rows(self) -> Iterable[Row]:
        return self._rows

    def first(self) -> Row | None:
        return self._rows[-1] if self._rows else None

    def drop(self, step: int | None) -> None:  # noqa: ARG002 - nobody takes turns
        self._rows.pop()

    def next(self, count: int) -> list[Row]:
        """The next jobs, at most so many, in order."""
        return self._rows[: -count - 1 : -1]

    def drop_next(self, count: int) -> None:
        """Leave so many behind."""
        del self._rows[len(self._rows) - count :]


class InTurns:
    """A queue whose values take turns at its first priority that has such jobs.

    Jobs before that priority go as they come. When the last job of a value is gone one has to read
    on: others may take turns then, or nobody.
    """

    __slots__ = ("_before", "_cut", "_left", "level", "short")

    def __init__(
        self,
        level: Level,
        line: Sequence[Row],
        values: Mapping[str, Sequence[Row]],
        *,
        line_whole: bool,
        each: int,
    ) -> None:
        """``line``: jobs without a value; ``each``: a value with fewer rows has no more."""
        priority = level.place[1]
        self._before = [row for row in reversed(line) if row[0] < priority]
        beside = [row for row in reversed(line) if row[0] == priority]
        rows = {value: list(reversed(of_value)) for value, of_value in values.items() if of_value}
        # Behind the last row that was read of a value there may be more.
        self._cut = {value for value, of_value in rows.items() if len(of_value) >= each}
        if not line_whole and len(line) == len(self._before) + len(beside):
            self._cut.add("")
        self._left = len(rows)  # values that have rows, without those that have none
        self.level = level
        self.short = not self._before and "" in self._cut and not beside
        level.fill({**rows, "": beside})

    def rows(self) -> Iterable[Row]:
        return chain(self._before, *self.level.rows.values())

    def first(self) -> Row | None:
        if self._before:
            return self._before[-1]
        return None if self.short else self.level.first()

    def drop(self, step: int | None) -> None:
        if self._before:
            self._before.pop()
            self.short = not self._before and "" in self._cut and not self.level.rows[""]
            return
        value = self.level.drop(step)
        if not self.level.rows[value]:
            self._left -= value != ""
            self.short = value in self._cut or not self._left


class Merged:
    """Several queues as one line: each queue's next job, the first of them in a line's order."""

    __slots__ = ("_heap", "_queues", "short")

    def __init__(self, queues: Sequence[Heads]) -> None:
        self._queues = queues
        self._heap: list[tuple[int, int, str, int]] = []
        self.short = False
        for number in range(len(queues)):
            self._add(number)

    def first(self) -> Row | None:
        """The next job; none if there is none, or if one has to read on."""
        if self.short or not self._heap:
            return None
        return self._queues[self._heap[0][3]].first()

    def drop(self, step: int | None) -> None:
        """Leave it behind; with a ``step`` it is taken."""
        number = heappop(self._heap)[3]
        self._queues[number].drop(step)
        self._add(number)

    def _add(self, number: int) -> None:
        queue = self._queues[number]
        row = queue.first()
        if row is not None:
            heappush(self._heap, (*row[:3], number))
        elif queue.short:
            self.short = True
