"""What restrains jobs, as the reference model has it: looked up anew for each job, nothing marked.

:class:`Restraints` walks over all jobs at each claim. It has no blocked jobs, no admissions and no
openings; stores that have them must answer as if they had not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from longshore.core.limits import (
    TURN,
    Limit,
    Setting,
    effective,
    opens_at,
    part_of,
    started,
)
from longshore.core.model import JobState
from longshore.core.turns import Turns
from longshore.testing.model_job import ModelJob, value_of


class Restraints:
    """Paused kinds, settings, starts and turns; who runs is read off the jobs."""

    def __init__(self, jobs: Mapping[str, ModelJob]) -> None:
        self.jobs = jobs
        self.now = 0
        #: Until when each kind is paused; ``None``: until resumed.
        self.kinds: dict[str, int | None] = {}
        self.settings: dict[str, Setting] = {}
        #: Of each rate key: part of its period → when its last start was, and how many.
        self.starts: dict[str, dict[int, tuple[int, int]]] = {}
        self.turns: dict[tuple[str, int], Turns] = {}

    def paused(self, kind: str) -> bool:
        """Whether nothing of this kind may start."""
        until = self.kinds.get(kind, 0)
        return until is None or until > self.now

    def used(self, limit: Limit) -> int:
        """How many run under this key, or have started in the window that ends now."""
        if limit.per is not None:
            return started(self.ledger(limit), limit.per, self.now)
        return sum(
            limit.key in {other.key for other in job.ruled.limits}
            for job in self.jobs.values()
            if job.state is JobState.RUNNING
        )

    def ledger(self, limit: Limit) -> list[tuple[int, int]]:
        """The starts of a key, oldest first."""
        return sorted(self.starts.get(limit.key, {}).values())

    def full(self, job: ModelJob) -> list[Limit]:
        """Those of its limits, as they hold now, that have no room for it."""
        return [limit for limit in self.limits(job) if self.used(limit) >= limit.to]

    def limits(self, job: ModelJob) -> list[Limit]:
        """Its limits as they hold now."""
        return [effective(one, self.settings.get(one.name)) for one in job.ruled.limits]

    def restrained(self, job: ModelJob) -> bool:
        """Whether it has to wait, whoever asks."""
        return self.paused(job.new.kind) or bool(self.full(job))

    def start(self, job: ModelJob) -> None:
        """Note its start with each of its rates."""
        for limit in self.limits(job):
            if limit.per is not None:
                parts = self.starts.setdefault(limit.key, {})
                part = part_of(self.now, limit.per)
                parts[part] = (self.now, parts.get(part, (0, 0))[1] + 1)

    def opens(self, job: ModelJob) -> int | None:
        """When a job that is restrained need be looked at again; ``None``: nobody knows."""
        ends: list[int | None] = []
        if self.paused(job.new.kind):
            ends.append(self.kinds[job.new.kind])
        for limit in self.full(job):
            ledger = self.ledger(limit)
            ends.append(None if limit.per is None else opens_at(ledger, limit.per, self.now))
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None

    def may_open(self, job: ModelJob) -> Iterator[int]:
        """All times at which somebody may think that there is room for it."""
        if self.paused(job.new.kind):
            yield from filter(None, [self.kinds[job.new.kind]])
        for limit in self.limits(job):
            if limit.per is not None:
                yield from (at + limit.per for at, _ in self.ledger(limit))

    # --- whose turn it is ---

    def walk(
        self,
        among: Callable[[], Collection[ModelJob]],
        take: Callable[[ModelJob], bool],
        *,
        turns: bool,
    ) -> bool:
        """Offer each job that may start, in order; false where one was not taken: that is the end.

        ``among`` gives what waits; it is asked anew for each job.
        """
        passed: set[str] = set()
        while left := [job for job in among() if job.new.id not in passed]:
            job = self._next(left) if turns else min(left, key=lambda job: job.place)
            passed.add(job.new.id)
            if self.restrained(job):
                continue
            if not take(job):
                return False
            if turns:
                self._take_turn(job, left)
        return True

    def _next(self, left: Collection[ModelJob]) -> ModelJob:
        """Of the next of each queue, the one whose place is the first."""
        queues = {job.queue for job in left}
        heads = [self._head([job for job in left if job.queue == queue]) for queue in queues]
        return min(heads, key=lambda job: job.place)

    def _head(self, left: Collection[ModelJob]) -> ModelJob:
        """The next of one queue."""
        first = min(left, key=lambda job: job.place)
        level = [job for job in left if job.priority == first.priority]
        if not any(job.ruled.fair for job in level):
            return first
        heads: dict[str, ModelJob] = {}
        for job in sorted(level, key=lambda job: job.place):
            heads.setdefault(value_of(job), job)
        state = self.turns.get((first.queue, first.priority), Turns(0, {}))
        return heads[state.next({key: job.place[1:] for key, job in heads.items()})]

    def _take_turn(self, job: ModelJob, left: Collection[ModelJob]) -> None:
        place = (job.queue, job.priority)
        if any(one.ruled.fair for one in left if (one.queue, one.priority) == place):
            fair = job.ruled.fair
            state = self.turns.setdefault(place, Turns(0, {}))
            state.take(value_of(job), TURN if fair is None else fair.step)
