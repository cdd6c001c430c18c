"""In which order a process serves its lines, claim by claim.

Lines without a weight are strict. Those with one that stand side by side share by weight: they take
turns as the values of ``fair_by`` do, each as often as its weight says, counted in jobs that came;
a line that was empty has saved nothing up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from longshore.core.limits import TURN
from longshore.core.lines import serves
from longshore.core.model import Claimed
from longshore.core.store import Line
from longshore.core.turns import Turns
from longshore.worker.buffer import CLAIM

#: A claim takes from the first line what it has, so shares are kept by not taking much at once.
SHARED: Final = 100


class Order:
    """The lines of one process; only its store thread asks."""

    def __init__(self, lines: Sequence[Line], weights: Sequence[int | None]) -> None:
        self._lines = tuple(lines)
        numbered = enumerate(weights or [None] * len(self._lines))
        #: The numbers of lines that share, and the virtual time of each such group.
        self._groups: list[tuple[tuple[int, ...], Turns | None]] = []
        self._steps: dict[int, int] = {}
        for weighted, members in groupby(numbered, key=lambda member: member[1] is not None):
            found = list(members)
            turns = Turns(0, {}) if weighted and len(found) > 1 else None
            self._groups.append((tuple(number for number, _ in found), turns))
            self._steps.update(
                (number, max(1, TURN // weight)) for number, weight in found if weight is not None
            )
        self._shares = any(turns is not None for _, turns in self._groups)
        self._of: dict[str, int | None] = {}
        #: How many jobs one claim may bring.
        self.most = SHARED if self._shares else CLAIM

    @property
    def plain(self) -> bool:
        """Whether no line shares with another: the order is always the same."""
        return not self._shares

    def lines(self) -> tuple[Line, ...]:
        """The lines as the next claim is to serve them."""
        if not self._shares:
            return self._lines
        order: list[int] = []
        for members, turns in self._groups:
            order += members if turns is None else _by_turns(members, turns)
        return tuple(self._lines[number] for number in order)

    def took(self, jobs: Sequence[Claimed]) -> None:
        """A claim has brought these."""
        if not self._shares:
            return
        counts: dict[int, int] = {}
        for job in jobs:
            number = self._line_of(job.queue)
            if number is not None:
                counts[number] = counts.get(number, 0) + 1
        for members, turns in self._groups:
            if turns is not None:
                for number in _by_turns(members, turns):
                    if number in counts:
                        turns.take(str(number), self._steps[number] * counts[number])
                turns.tidy()

    def _line_of(self, queue: str) -> int | None:
        if queue not in self._of:
            if len(self._of) > _REMEMBERED:  # queues of tenants come and go
                self._of.clear()
            self._of[queue] = next(
                (number for number, line in enumerate(self._lines) if serves(line, queue)), None
            )
        return self._of[queue]


def _by_turns(members: Sequence[int], turns: Turns) -> list[int]:
    return sorted(members, key=lambda number: (turns.start(str(number)), number))


_REMEMBERED: Final = 10_000
