"""The two lanes of a process side by side: which jobs go where, and who is woken for them.

Jobs with a rate were counted when they were claimed, so they must start then: they come only for
slots that are free, and go in front of what was claimed ahead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from longshore.core.interruptions import is_suspect
from longshore.core.model import Claimed
from longshore.errors import LongshoreError
from longshore.running import RunState
from longshore.worker.buffer import STALE, STALE_BEFORE_FREE_SLOTS, Durations
from longshore.worker.perform import Performer
from longshore.worker.slots import AsyncLane, Done, ThreadLane

_UNLIMITED: Final = 1_000_000


class Lanes:
    """Shared permits, so that both lanes together never run more jobs than there are slots."""

    def __init__(self, slots: int, performer: Performer, done: Done) -> None:
        self._slots = slots
        self._performer = performer
        self._coroutine_kinds = performer.coroutine_kinds()
        self._rated_kinds = performer.rated_kinds()
        self._rated: list[RunState] = []  # handed out, and perhaps not started yet
        self._starved = False
        self._permits: list[None] = [None] * slots
        self.threads = ThreadLane(slots, self._permits, performer, done)
        self.tasks = AsyncLane(self._permits, performer, done)
        self.durations = Durations()
        # A permit that one lane gives back may be what the other waits for.
        self.threads.freed = self._free_for_tasks
        self.tasks.freed = self._free_for_threads

    @property
    def waiting(self) -> int:
        """How many jobs were handed out and have not started."""
        return len(self.threads.ready) + len(self.tasks.ready)

    @property
    def full(self) -> bool:
        """Whether every slot has a body to run."""
        return not self._permits

    @property
    def plain(self) -> bool:
        """Whether no kind has a rate."""
        return not self._rated_kinds

    def running(self) -> list[RunState]:
        """The jobs whose bodies run now."""
        return [*self.threads.running(), *self.tasks.running()]

    def interrupt(self, run: RunState, verdict: LongshoreError) -> bool:
        """Raise a verdict in the body of this job; false if it does not run (any more)."""
        return self.threads.interrupt(run, verdict) or self.tasks.interrupt(run, verdict)

    def take_back(self, wanted: Callable[[RunState], bool]) -> list[RunState]:
        """Jobs at the heads of the lanes that have not started, as long as they are wanted back."""
        found: list[RunState] = []
        for lane in (self.threads, self.tasks):
            ready = lane.ready
            while ready:
                try:
                    run = ready.popleft()
                except IndexError:  # a slot was quicker
                    break
                if not wanted(run):
                    ready.appendleft(run)
                    break
                found.append(run)
        return found

    def stale(self, age: Callable[[int], float]) -> list[RunState]:
        """Take back jobs that have waited here for too long; ``age`` of a claim in seconds."""
        most = (STALE if self.full else STALE_BEFORE_FREE_SLOTS) / 1e6
        return self.take_back(lambda run: age(run.claim_id) > most)

    def nudge(self) -> None:
        """Wake another slot where the first job was not taken since the last look."""
        for lane in (self.threads, self.tasks):
            try:
                head = lane.ready[0] if lane.ready else None
            except IndexError:
                continue
            if head is not None and head is lane.head:
                # The slots that are awake are busy with something long.
                lane.wake(1)
            lane.head = head

    def clear(self) -> int:
        """Forget what has not started; how many these were."""
        self._rated.clear()
        self._starved = False
        return len(self.take_back(lambda _run: True))

    def stop(self) -> None:
        """Let idle slots and the loop end."""
        self.threads.stop()
        self.tasks.stop()

    # --- jobs with a rate ---------------------------------------------------------------------

    def free(self) -> int:
        """How many jobs with a rate a claim may bring so that each starts at once."""
        if not self._rated_kinds:
            return _UNLIMITED
        self._rated = [run for run in self._rated if not (run.started_at or run.ended_at)]
        free = self._slots - len(self.running())
        if free > 0:
            free = max(free, self.durations.at_once(self._rated_kinds))
        return max(0, free - len(self._rated))

    def came(self, jobs: Sequence[Claimed], *, free: int, wanted: int) -> None:
        """A claim brought these: all that there were free slots for, and perhaps there are more.

        Where it came back full of jobs with rates, the next one in line has one too, mostly: asked
        for at once, it would bring the few that there are slots for just now.
        """
        kinds = self._rated_kinds
        rated = sum(job.kind in kinds for job in jobs) if kinds else 0
        self._starved = bool(kinds) and rated >= min(free, wanted)

    def starved(self) -> int | None:
        """How many jobs to ask for if the next one in line waits for a free slot here.

        Those behind it wait for their turn then. As small claims cost as much as large ones, half
        of what may wait for its start has started.
        """
        if not self._starved:
            return None
        free = self.free()
        return free if free >= len(self._rated) else 0

    # --- hand out -----------------------------------------------------------------------------

    def hand_out(self, runs: list[RunState]) -> None:
        """Give claimed jobs to their lanes, and wake as many slots as they are worth."""
        awaited = self._coroutine_kinds
        tasks = [run for run in runs if self._is_task(run.claimed)] if awaited else []
        if tasks:
            self._enter(self.tasks.ready, tasks)
            self.tasks.wake(len(tasks))
            runs = [run for run in runs if not self._is_task(run.claimed)]
        if runs:
            urgent = self._enter(self.threads.ready, runs)
            worth, tiny = self.durations.slots_for(runs)
            awake = self.threads.awake
            if tiny and not worth:
                # They fight for the interpreter and for nothing else: one goes on, the rest rest.
                self.threads.shed(awake - 1)
            self.threads.wake(worth or (tiny and (urgent or not awake)))

    def _is_task(self, job: Claimed) -> bool:
        """Whether its body is awaited here; for one that is to run alone a thread waits."""
        if job.kind not in self._coroutine_kinds:
            return False
        return self._performer.isolated is None or not is_suspect(job)

    def _enter(self, ready: deque[RunState], runs: Sequence[RunState]) -> bool:
        """Whether some of them have to start at once."""
        rated = self._rated_kinds
        first = [run for run in runs if run.claimed.kind in rated] if rated else []
        if not first:
            ready.extend(runs)
            return False
        place = 0
        with suppress(IndexError):  # slots take from the head meanwhile
            while ready[place].claimed.kind in rated:
                place += 1
        for number, run in enumerate(first, place):
            ready.insert(number, run)
        ready.extend(run for run in runs if run.claimed.kind not in rated)
        self._rated += first
        return True

    # --- called by slots ----------------------------------------------------------------------

    def _free_for_tasks(self) -> None:
        if self.tasks.ready:
            self.tasks.wake(1)

    def _free_for_threads(self) -> None:
        if self.threads.ready:
            self.threads.wake(1)
