"""How many jobs a process should hold: durations and neighbours decide, nobody configures it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from longshore.core.model import Ending
from longshore.running import RunState
from longshore.worker.shared import Pace

#: The buffer holds at most this much work of one slot, in microseconds.
AHEAD = 50_000
#: A claim takes so long at least, microseconds.
BRIEF = 10_000
#: Bodies shorter than this share one slot: waking another costs more than they take.
TINY = 200
#: A store is asked for at most so many jobs at once.
CLAIM = 500
#: All processes of a store together ask for about so many, each for ``LEAST`` at least: a claim
#: waits for those of others, and of many large ones the last would wait for seconds.
TOGETHER, LEAST = 4000, 20
#: A claimed job that has not started after this goes back, microseconds: others may be free. Where
#: a slot is free here it will start as soon as the machine gets to it, so it waits for longer.
STALE = 250_000
STALE_BEFORE_FREE_SLOTS = 2_000_000

#: What is to start at once starts within this, microseconds; so long one more body of no length
#: takes with all that is around it.
AT_ONCE = 12_000
AROUND = 20

#: So many runs of a batch say enough of it.
SAMPLE = 64
_WEIGHT = 0.1


class Durations:
    """What bodies take, by kind and over all: moving averages in microseconds; and what follows.

    Fed by the store thread with ended runs, so slots never pay for it.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, float] = {}
        self._mean: float | None = None
        #: What is known of the jobs of siblings, where there are many.
        self.pace: Pace | None = None
        #: How many jobs to ask the store for at once.
        self.portion = CLAIM

    def among(self, processes: int) -> None:
        """So many processes work on the store, this one included."""
        self.portion = max(LEAST, min(CLAIM, TOGETHER // max(1, processes)))

    def learn(self, batch: Sequence[tuple[RunState, Ending]]) -> None:
        """Take in ended runs; of many, some."""
        sums: dict[str, tuple[int, int]] = {}
        for run, _ in batch[:: 1 + len(batch) // SAMPLE]:
            if not run.started_at:
                continue
            total, count = sums.get(run.claimed.kind, (0, 0))
            sums[run.claimed.kind] = (total + run.ended_at - run.started_at, count + 1)
        for kind, (total, count) in sums.items():
            weight = 1 - (1 - _WEIGHT) ** count
            mean = max(1.0, total / count)
            known = self._kinds.get(kind, mean)
            self._kinds[kind] = known + weight * (mean - known)
            overall = mean if self._mean is None else self._mean
            self._mean = overall + weight * (mean - overall)
        if sums and self.pace is not None and self._mean is not None:
            self.pace.say(self._mean)

    def slots_for(self, runs: Sequence[RunState]) -> tuple[int, bool]:
        """How many slots these jobs are worth: one each, and whether there are tiny ones beside.

        Tiny jobs share one slot.
        """
        if all(self._kinds.get(kind, AHEAD) < TINY for kind in {run.claimed.kind for run in runs}):
            return 0, True
        worth, tiny = 0, False
        for run in runs:
            if self._kinds.get(run.claimed.kind, AHEAD) < TINY:
                tiny = True
            else:
                worth += 1
        return worth, tiny

    def at_once(self, kinds: Collection[str]) -> int:
        """How many jobs of these kinds one slot starts at once; more than one if all are tiny."""
        slowest = max(self._kinds.get(kind, AHEAD) for kind in kinds)
        return int(AT_ONCE / (slowest + AROUND)) if slowest < TINY else 1

    @property
    def brief(self) -> bool:
        """Whether what one claim brings is over in less time than a claim takes."""
        mean = self._known()
        return mean is not None and mean * self.portion < BRIEF

    def room(self, slots: int) -> int:
        """How many jobs the process should hold in all, running ones included."""
        mean = self._known()
        if mean is None or mean >= AHEAD * 1.2:
            return slots
        ahead = int(AHEAD / mean * (1 if mean < TINY else slots))
        return slots + min(ahead, 2 * self.portion)

    def _known(self) -> float | None:
        """The mean of the jobs that ran here; before the first, of those of siblings."""
        if self._mean is None and self.pace is not None:
            return self.pace.hear()
        return self._mean
