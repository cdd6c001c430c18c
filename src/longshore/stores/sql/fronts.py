"""Lines of many queues: which of them have the next jobs, without a look at each queue.

No I/O but the one step that a store fills in. A look at all queues tells where the first job of
each stands. From then on a queue's front only moves back, as jobs are taken, but for what arrives:
so the next claims read the queues whose fronts were first, and take what stands before the front of
those they did not read. What arrives meanwhile in front of that is seen by the next look.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Final, NamedTuple

from longshore.core.store import Line
from longshore.stores.lines import chosen
from longshore.stores.sql.statements import Steps

#: Of so many queues a look at each costs less than to remember.
FEW: Final = 64
#: How long a look is remembered, microseconds: for so long jobs may run ahead of a better one; at
#: least so many times what it took, so that looking takes a fifth of the time at most.
REMEMBERED: Final = 50_000
WORTH: Final = 4


class Place(NamedTuple):
    """Where a job stands in the order of a claim."""

    place: int  # its priority
    scheduled_at: int
    id: str
    queue: str


class Read(NamedTuple):
    """What was read of several queues."""

    heads: list[Place]  # in order
    behind: Mapping[str, Place]  # the last one read of a queue, where more may stand behind it


class Fronts:
    """Where the first jobs of the queues of a line stand, as far as is known.

    Args:
        places: of each queue its first job, or something before it.
        paused: the queues that were left out, whatever the line says.
        now: when this was so, by the store's clock, microseconds.
        took: how long the look took, seconds.
    """

    def __init__(
        self, places: Iterable[Place], paused: frozenset[str], now: int, took: float
    ) -> None:
        self._heap = list(places)
        heapify(self._heap)
        self._paused = paused
        self._now = now
        self._until = now + max(REMEMBERED, int(WORTH * took * 1_000_000))
        #: Whether a claim has gone by it already.
        self.old = False

    def again(self) -> Fronts:
        """The same for the next claim; if that comes to nothing, this is as it was."""
        copy = Fronts((), self._paused, self._now, 0.0)
        copy._heap = self._heap.copy()
        copy._until = self._until
        copy.old = True
        return copy

    def forget(self) -> None:
        """Some queues were taken out of it whose jobs are still there."""
        self._until = self._now

    def hold(self, paused: frozenset[str], now: int) -> bool:
        """Whether a claim may still go by these, with these queues paused."""
        return self._now <= now < self._until and paused == self._paused

    @property
    def bound(self) -> Place | None:
        """What comes before this is not in any queue that has not been taken out."""
        return self._heap[0] if self._heap else None

    def pop(self, number: int) -> Iterator[str]:
        """Take out the queues that come first."""
        for _ in range(min(number, len(self._heap))):
            yield heappop(self._heap).queue

    def put(self, place: Place) -> None:
        """Put a queue back."""
        heappush(self._heap, place)


class Merging:
    """The first jobs of several queues in their common order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Where the last claims of these lines have ended. Replaced by a claim when it has written
        #: what it takes: until then it may begin afresh.
        self.known: dict[Line, Fronts] = {}

    def heads_of(self, queues: Sequence[str], each: int) -> Steps[list[Place]]:
        """Where the first few jobs of each of these queues stand."""
        raise NotImplementedError

    def fronts(self) -> Steps[list[Place]]:
        """The first job of each queue."""
        raise NotImplementedError

    def looked_at(self, line: Line, paused: frozenset[str], now: int) -> Steps[list[str] | Fronts]:
        """The queues of a line that hold jobs; of many, where the first ones stand."""
        began = time.monotonic()
        places = yield from self.fronts()
        took = time.monotonic() - began
        served = frozenset(chosen(line, [place.queue for place in places])) - paused
        if len(served) <= FEW:
            return sorted(served)
        return Fronts([place for place in places if place.queue in served], paused, now, took)

    def first_of(
        self, queues: Sequence[str], wanted: int, without: Container[str] = ()
    ) -> Steps[list[Place]]:
        """The first jobs of a few queues, of which nothing is known.

        ``without``: ids of jobs that are there and not to be had.
        """
        read = yield from self._read(queues, wanted, None, 4, without)
        return read.heads[:wanted]

    def next_of(
        self, fronts: Fronts, wanted: int, without: Container[str] = ()
    ) -> Steps[list[Place]]:
        """The first jobs of queues whose fronts are known; what is known afterwards is kept."""
        queues = list(fronts.pop(wanted))
        if not queues:
            return []
        while True:
            bound = fronts.bound
            read = yield from self._read(queues, wanted, bound, 2, without)
            good = [head for head in read.heads if bound is None or head < bound]
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
        without: Container[str],
    ) -> Steps[Read]:
        """The first jobs of these queues that are to be had; ``least`` or more of each are read."""
        each = max(least, 2 * wanted // max(1, len(queues)))
        found: dict[str, list[Place]] = {}
        asked: dict[str, int] = {}
        more = queues
        while True:
            asked.update(dict.fromkeys(more, each))
            found.update((queue, []) for queue in more)
            for head in (yield from self.heads_of(more, each)):
                found[head.queue].append(head)
            behind = {
                queue: max(places) for queue, places in found.items() if len(places) == asked[queue]
            }
            heads = sorted(
                head for places in found.values() for head in places if head.id not in without
            )
            left = dict.fromkeys(behind, 0)
            for head in heads:
                if head.queue in left:
                    left[head.queue] += 1
            # Behind the last one read of a queue there may be better ones than those that follow;
            # nothing follows the last one wanted, and beyond the bound nothing is taken.
            for head in heads[: wanted - 1]:
                if bound is not None and head > bound:
                    break
                if head.queue in left:
                    left[head.queue] -= 1
            # One long queue is no reason to read far into all of them.
            more = [queue for queue, jobs in left.items() if jobs == 0]
            if not more:
                return Read(heads, behind)
            each = 4 * max(asked[queue] for queue in more)


def _keep(fronts: Fronts, read: Read, taken: Sequence[Place]) -> None:
    """Put back what is known of queues that were read, and of which some jobs are taken."""
    kept: set[str] = set()
    gone = {place.id for place in taken}
    for head in read.heads:
        if head.queue not in kept and head.id not in gone:
            kept.add(head.queue)
            fronts.put(head)
    for queue, place in read.behind.items():
        if queue not in kept:
            fronts.put(place)
