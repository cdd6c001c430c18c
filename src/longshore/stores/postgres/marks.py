"""Where the lines of a store go on, while what was taken from them cannot be cleared away.

No I/O. A claim reads a line from its front. What has left the line stays there as a dead entry for
as long as some transaction is open that began before, and each claim would look at every one of
them. So while there are many, claims go on where the last one ended, priority by priority, and only
now and then one looks at everything: for what was given back, or committed later than others that
came after it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from longshore.core.model import Claimed

#: A look that takes longer than this, and so much more for each job, may have met dead entries;
#: microseconds.
SLOW: Final = 4_000
SLOW_PER_JOB: Final = 40
#: So many of them are worth it to remember: several times what waits for an autovacuum at most.
MANY: Final = 10_000
#: A look at everything takes this share of the time at most, as long as it is not put off longer
#: than this; seconds.
SHARE: Final = 1 / 20
PUT_OFF: Final = 5.0
#: What commits later than others that came after it is seen at once within this time, microseconds.
LATE: Final = 250_000
#: Of so many queues and priorities is remembered where they go on.
PLACES: Final = 64

_LOWEST: Final = -(2**15)
_HIGHEST: Final = 2**15 - 1
_FIRST: Final = "00000000-0000-0000-0000-000000000000"
#: What sorts behind every character of a queue's name.
BEHIND: Final = "~"

#: What the query ``exchange`` is told by who knows of no place where to go on.
EVERYTHING: Final[Mapping[str, Any]] = {
    "above": [""], "below": [BEHIND],
    "at_queue": [], "lowest": [], "highest": [], "at": [], "at_id": [],
}  # fmt: skip


class Mark(NamedTuple):
    """In front of it nothing is left of its queue and priority, as far as is known."""

    scheduled_at: int
    id: str


class Range(NamedTuple):
    """A part of a queue's line that is looked at: some priorities, from a mark of the first on."""

    queue: str
    lowest: int
    highest: int
    mark: Mark


class Going(NamedTuple):
    """How a claim goes about a line."""

    began: float  # by the monotonic clock, seconds
    on: bool  # by the marks, and not from the front


class Marks:
    """Where one line goes on, queue by queue and priority by priority."""

    def __init__(self) -> None:
        self._marks: dict[tuple[str, int], Mark] = {}
        #: When to look at everything again, by the monotonic clock, seconds.
        self._until = 0.0

    def going(self) -> Going:
        """How a claim that begins now goes about it."""
        now = time.monotonic()
        return Going(now, bool(self._marks) and now < self._until)

    def came(self, going: Going, jobs: Sequence[Claimed], ended: int, dead: int | None) -> None:
        """What a claim that went so has come to.

        Args:
            going: how it went about it.
            jobs: what it took, in order.
            ended: how many jobs it reported.
            dead: how many dead entries there are, if it was slow.
        """
        if not going.on:
            took = time.monotonic() - going.began
            usual = (SLOW + SLOW_PER_JOB * (len(jobs) + ended)) / 1e6
            if took <= usual or dead is None or dead < MANY:
                self._marks.clear()
                self._until = 0.0
                return
            self._until = time.monotonic() + min(PUT_OFF, took / SHARE)
        for job in jobs:
            place = job.queue, job.priority
            mark = min(Mark(job.scheduled_at, job.id), Mark(job.claimed_at - LATE, _FIRST))
            self._marks[place] = max(mark, self._marks.get(place, mark))
        if len(self._marks) > PLACES:
            self._marks.clear()

    def drained(self, now: int, *, fewer: bool) -> None:
        """With ``fewer`` jobs than wanted nothing was left behind any mark at this time."""
        if fewer:
            mark = Mark(now - LATE, _FIRST)
            for place, known in self._marks.items():
                self._marks[place] = max(known, mark)

    def due_in(self, due_in: int | None, *, again: bool) -> int | None:
        """When to claim again after one that found fewer jobs than it wanted, microseconds.

        ``due_in``: when something falls due. ``again``: at once, and look at everything.
        """
        if again:
            self._until = 0.0
            return 0
        wait = max(0, int((self._until - time.monotonic()) * 1e6))
        return wait if due_in is None else min(due_in, wait)

    def params(self, names: Sequence[str]) -> Mapping[str, Any]:
        """What the query ``exchange`` is told; ``names``: the queues that the line names."""
        ranges = list(self._ranges())
        known = sorted({one.queue for one in ranges})
        return {
            "names": [name for name in names if name not in known],
            "above": ["", *known],
            "below": [*known, BEHIND],
            "at_queue": [one.queue for one in ranges],
            "lowest": [one.lowest for one in ranges],
            "highest": [one.highest for one in ranges],
            "at": [one.mark.scheduled_at for one in ranges],
            "at_id": [one.mark.id for one in ranges],
        }

    def _ranges(self) -> Iterator[Range]:
        """The ranges of each queue, in order: between two marks as from the first on."""
        places = sorted(self._marks)
        for number, (queue, priority) in enumerate(places):
            if priority > _LOWEST and (number == 0 or places[number - 1][0] != queue):
                yield Range(queue, _LOWEST, priority - 1, Mark(0, _FIRST))
            last = number + 1 == len(places) or places[number + 1][0] != queue
            highest = _HIGHEST if last else places[number + 1][1] - 1
            yield Range(queue, priority, highest, self._marks[queue, priority])
