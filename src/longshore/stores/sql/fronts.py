"""Lines of many queues: which of them have the next jobs, without a look at each queue.

No I/O but the one step that a store fills in. A look at all queues tells where the first job of
each stands. From then on a queue's front only moves back, as jobs are taken, but for what arrives:
so the next claims read the queues whose fronts were first, and take what stands before the front of
those they did not read. What arrives meanwhile in front of that is seen by the next look.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from heapq import heappop, heappush
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

from longshore.core.store import Line
from longshore.stores.lines import chosen
from longshore.stores.sql.statements import Steps

#: Where a job stands in the order of a claim: its priority, the time that it was scheduled for, its
#: id and its queue, one after the other in one text. The numbers have a number added that gives all
#: of them as many digits, so that these texts sort as a claim does. One text is read and compared
#: in a fraction of the time that four values take, and a look brings one for each queue.
Place: TypeAlias = str
PRIORITY: Final = 500_000
TIME: Final = 5_000_000_000_000_000_000
_TIME_AT: Final = 6
_ID_AT: Final = 25
_QUEUE_AT: Final = 61

#: Of so many queues a look at each costs less than to remember.
FEW: Final = 64
#: How long a look is remembered, microseconds: for so long jobs may run ahead of a better one. So
#: many times what it took, that looking takes a tenth of the time; but then no longer than so long,
#: unless it would take a fifth.
REMEMBERED: Final = 50_000
LONG: Final = 250_000
WORTH: Final = 9
LEAST_WORTH: Final = 4


class Parts(NamedTuple):
    """What a place says."""

    priority: int
    scheduled_at: int
    id: str
    queue: str


def place_of(priority: int, scheduled_at: int, job_id: str, queue: str) -> Place:
    """Where a job stands."""
    return f"{priority + PRIORITY}{scheduled_at + TIME}{job_id}{queue}"


def parts_of(place: Place) -> Parts:
    """What a place says."""
    return Parts(
        int(place[:_TIME_AT]) - PRIORITY,
        int(place[_TIME_AT:_ID_AT]) - TIME,
        id_of(place),
        queue_of(place),
    )


def id_of(place: Place) -> str:
    """The job that stands there."""
    return place[_ID_AT:_QUEUE_AT]


def queue_of(place: Place) -> str:
    """Its queue."""
    return place[_QUEUE_AT:]


class Read(NamedTuple):
    """What was read of several queues."""

    heads: Sequence[Place]  # in order
    found: Mapping[str, Sequence[Place]]  # the same by queue
    behind: Mapping[str, Place]  # the last one read of a queue, where more may stand behind it


class Fronts:
    """Where the first jobs of the queues of a line stand, as far as is known.

    Args:
        places: of each queue its first job, or something before it; in order.
        paused: the queues that were left out, whatever the line says.
        now: when this was so, by the store's clock, microseconds.
        took: how long the look took, seconds.
    """

    def __init__(
        self, places: Sequence[Place], paused: frozenset[str], now: int, took: float
    ) -> None:
        # What a look has found is shared by all that follows from it: only how far it is used up
        # changes, and what is put back, which is little.
        self._places = places
        self._next = 0
        self._back: list[Place] = []
        self._paused = paused
        self._now = now
        self._until = now + _remembered(int(took * 1_000_000))
        #: Whether a claim has gone by it already.
        self.old = False

    def again(self) -> Fronts:
        """The same for the next claim; if that comes to nothing, this is as it was."""
        fronts = Fronts(self._places, self._paused, self._now, 0.0)
        fronts._next = self._next
        fronts._back = self._back.copy()
        fronts._until = self._until
        fronts.old = True
        return fronts

    def forget(self) -> None:
        """Some queues were taken out of it whose jobs are still there."""
        self._until = self._now

    def hold(self, paused: frozenset[str], now: int) -> bool:
        """Whether a claim may still go by these, with these queues paused."""
        return self._now <= now < self._until and paused == self._paused

    @property
    def bound(self) -> Place | None:
        """What comes before this is not in any queue that has not been taken out."""
        first = self._places[self._next : self._next + 1]
        return min([*first, *self._back[:1]], default=None)

    def pop(self, number: int) -> list[str]:
        """Take out the queues that come first."""
        end = self._next + number
        places = self._places[self._next : end]
        if not self._back or (len(places) == number and places[-1] < self._back[0]):
            self._next = min(end, len(self._places))
            return [queue_of(place) for place in places]
        queues: list[str] = []
        while len(queues) < number and (bound := self.bound) is not None:
            if self._back and bound == self._back[0]:
                heappop(self._back)
            else:
                self._next += 1
            queues.append(queue_of(bound))
        return queues

    def put(self, place: Place) -> None:
        """Put a queue back."""
        heappush(self._back, place)


class Merging:
    """The first jobs of several queues in their common order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Where the last claims of these lines have ended. Replaced by a claim when it has written
        #: what it takes: until then it may begin afresh.
        self.known: dict[Line, Fronts] = {}

    def heads_of(self, queues: Sequence[str], each: int) -> Steps[Mapping[str, Sequence[Place]]]:
        """Where the first few jobs of each of these queues stand; queues without any may miss."""
        raise NotImplementedError

    def fronts(self) -> Steps[list[Place]]:
        """The first job of each queue."""
        raise NotImplementedError

    def looked_at(self, line: Line, paused: frozenset[str], now: int) -> Steps[list[str] | Fronts]:
        """The queues of a line that hold jobs; of many, where the first ones stand."""
        began = time.monotonic()
        places = yield from self.fronts()
        places = served_of(line, paused, places)
        if len(places) <= FEW:
            return sorted(map(queue_of, places))
        places.sort()
        return Fronts(places, paused, now, time.monotonic() - began)

    def first_of(
        self, queues: Sequence[str], wanted: int, without: AbstractSet[str] = frozenset()
    ) -> Steps[Sequence[Place]]:
        """The first jobs of a few queues, of which nothing is known.

        ``without``: ids of jobs that are there and not to be had.
        """
        read = yield from self._read(queues, wanted, None, 4, without)
        return read.heads[:wanted]

    def next_of(
        self, fronts: Fronts, wanted: int, without: AbstractSet[str] = frozenset()
    ) -> Steps[Sequence[Place]]:
        """The first jobs of queues whose fronts are known; what is known afterwards is kept."""
        queues = fronts.pop(wanted)
        if not queues:
            return []
        while True:
            bound = fronts.bound
            read = yield from self._read(queues, wanted, bound, 2, without)
            good = read.heads if bound is None else read.heads[: bisect_left(read.heads, bound)]
            if len(good) >= wanted or bound is None:
                break
            # What was read has fewer than it seemed: others have taken them.
            queues += fronts.pop(len(queues))
        _keep(fronts, read, good[:wanted])
        return good[:wanted]

    def _read(
        self,
        queues: Sequence[str],
        wanted: int,
        bound: Place | None,
        least: int,
        without: AbstractSet[str],
    ) -> Steps[Read]:
        """The first jobs of these queues that are to be had; ``least`` or more of each are read."""
        each = max(least, 2 * wanted // max(1, len(queues)))
        found: dict[str, Sequence[Place]] = {}
        asked: dict[str, int] = {}
        more = queues
        while True:
            asked.update(dict.fromkeys(more, each))
            found.update(dict.fromkeys(more, ()))
            found.update((yield from self.heads_of(more, each)))
            behind = {
                queue: places[-1] for queue, places in found.items() if len(places) == asked[queue]
            }
            free = _free(found, without)
            heads = sorted(chain.from_iterable(free.values()))
            # Behind the last one read of a queue there may be better ones than those that follow;
            # nothing follows the last one wanted, and beyond the bound nothing is taken.
            last = min(wanted - 1, len(heads))
            edge = heads[last - 1] if last else ""
            if bound is not None:
                edge = min(edge, bound)
            # One long queue is no reason to read far into all of them.
            more = [queue for queue in behind if not free[queue] or free[queue][-1] <= edge]
            if not more:
                return Read(heads, free, behind)
            each = 4 * max(asked[queue] for queue in more)


def served_of(line: Line, paused: frozenset[str], places: list[Place]) -> list[Place]:
    """Those of these first jobs whose queues a line serves now."""
    if "*" in line.queues and not (line.excludes or paused):
        return places
    served = frozenset(chosen(line, map(queue_of, places))) - paused
    return [place for place in places if queue_of(place) in served]


def _remembered(took: int) -> int:
    """For how long, microseconds, a look is remembered that has taken so long."""
    return max(REMEMBERED, LEAST_WORTH * took, min(WORTH * took, LONG))


def _free(
    found: Mapping[str, Sequence[Place]], without: AbstractSet[str]
) -> Mapping[str, Sequence[Place]]:
    if not without:
        return found
    return {
        queue: [place for place in places if id_of(place) not in without]
        for queue, places in found.items()
    }


def _keep(fronts: Fronts, read: Read, taken: Sequence[Place]) -> None:
    """Put back what is known of queues that were read, and of which the first jobs are taken."""
    last = taken[-1] if taken else ""
    for queue, places in read.found.items():
        at = bisect_right(places, last)
        if at < len(places):
            fronts.put(places[at])
        elif queue in read.behind:
            fronts.put(read.behind[queue])
