"""The places of a worker's children: when one is taken again, and how many jobs it is still to do.

A place is taken again at once after honest work, slower and slower when its children only start and
die. ``--max-jobs`` is shared out among the places, so that together they run no more than asked
for; a successor goes on with what its predecessors have left.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

import msgspec

from longshore.worker.family import Child
from longshore.worker.options import WorkerOptions

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0


class Places:
    """Numbered from 0; those that wait for a child, and for how long."""

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._waits: dict[int, tuple[float, float]] = {}  # by place: taken again at, wait then
        self._spent: Counter[int] = Counter()  # by place: jobs of children that are gone

    def __len__(self) -> int:
        return len(self._waits)

    def options(self, number: int, alive: Iterable[Child]) -> WorkerOptions | None:
        """What a child in this place is to do; ``None`` where nothing is left for it."""
        whole = self._options.max_jobs
        if whole is None:
            return self._options
        share, rest = divmod(whole, self._options.processes)
        left = share + (number < rest) - self._spent[number]
        # One that is to be replaced may run all that it has claimed.
        heads = [child.beacon.read_head() for child in alive if child.number == number]
        left -= sum(busy + ended for _, busy, ended, _ in heads)
        return msgspec.structs.replace(self._options, max_jobs=left) if left > 0 else None

    def waiting(self, alive: Iterable[Child]) -> list[float]:
        """When the places are taken again that have no child now."""
        taken = {child.number for child in alive}
        return [due for number, (due, _) in self._waits.items() if number not in taken]

    def due(self, now: float) -> list[int]:
        """The places to be taken by now, unless somebody works there."""
        return [number for number, (due, _) in self._waits.items() if now >= due]

    def gone(self, child: Child) -> None:
        """A child is dead, and this is what it has done."""
        self._spent[child.number] += child.beacon.read_head()[2] + len(child.stuck)

    def again(self, number: int, *, worked: bool) -> None:
        """It needs another child: at once, or slower and slower."""
        if worked:
            self._waits[number] = (time.monotonic(), FIRST_WAIT / 4)
        else:
            self.wait_longer(number)

    def wait_longer(self, number: int) -> None:
        """It could not be taken."""
        _, last = self._waits.get(number, (0.0, FIRST_WAIT / 2))
        wait = min(last * 2, LONGEST_WAIT)
        self._waits[number] = (time.monotonic() + wait, wait)

    def waits(self, number: int) -> bool:
        """Whether the last child there has not worked yet."""
        return number in self._waits

    def settled(self, number: int) -> None:
        """Its child works, or it needs none any more."""
        self._waits.pop(number, None)
