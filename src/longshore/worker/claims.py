"""The open claims of one process: which are under way, and how many of their jobs are not over.

The store thread writes it, the heart reads :attr:`Claims.oldest` from another thread: what the
store holds for this process from an older claim never arrived here and may go back.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from longshore.core.model import Ending, Lease, Why
from longshore.core.outcome import Attempt, interrupted, released
from longshore.core.store import Claim
from longshore.running import Reports, RunState


class Claims:
    """Numbered from 1 in the order of sending; a repeated request is a new claim here."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}
        self._arrived: dict[int, float] = {}
        self.last = 0

    def begin(self) -> int:
        """The number of a claim about to be sent; it must not be called lost while under way."""
        number = self.last + 1
        # In this order: between the two others may ask for the oldest.
        self._open[number] = 0
        self.last = number
        return number

    def arrived(self, claim_id: int, jobs: int, now: float) -> None:
        """The answer is here ``now``, with so many jobs; a claim that failed has none.

        Counted from when it was asked for, jobs of a slow store would be stale as they come.
        """
        if jobs:
            self._open[claim_id] = jobs
            self._arrived[claim_id] = now
        else:
            self._open.pop(claim_id, None)

    def age(self, claim_id: int, now: float) -> float:
        """For how many seconds the jobs of a claim have been here."""
        return now - self._arrived.get(claim_id, now)

    def over(self, batch: Sequence[tuple[RunState, Ending]], inflight: dict[str, RunState]) -> None:
        """These runs are over: they leave the jobs that the process has."""
        there = [inflight.pop(run.claimed.id, None) for run, _ in batch]
        runs = [run for run, _ in batch]
        if there != runs:
            # A run of a lease that was lost is not there, but a later run of the same job may be.
            inflight.update((run.claimed.id, run) for run in there if run is not None)
            runs = [run for run in runs if _taken(run, inflight)]
        claims = [run.claim_id for run in runs]
        for claim_id, count in Counter(claims).items():
            self.finished(claim_id, count)

    def finished(self, claim_id: int, jobs: int) -> None:
        """So many jobs of a claim are over."""
        self._open[claim_id] -= jobs
        if not self._open[claim_id]:
            del self._open[claim_id]
            self._arrived.pop(claim_id, None)

    def clear(self) -> None:
        """The lease is gone, and every job with it."""
        self._open.clear()
        self._arrived.clear()

    @property
    def oldest(self) -> int:
        """The oldest claim with unfinished jobs; what is older never arrived here."""
        try:
            return min(self._open, default=self.last + 1)
        except RuntimeError:
            # The store thread changed the table meanwhile; an old answer is always safe.
            return 0


def _taken(run: RunState, inflight: dict[str, RunState]) -> bool:
    """Whether it was there, and is not any more."""
    here = inflight.get(run.claimed.id) is run
    if here:
        del inflight[run.claimed.id]
    return here


def given_back(run: RunState) -> Ending:
    """How a run ends that has not come to its end here."""
    run.ended_at = ended = time.time_ns() // 1000
    started = run.started_at or run.claimed.claimed_at
    attempt = Attempt(run.claimed, run.lease, started, ended)
    return interrupted(attempt) if run.once and run.started_at else released(attempt)


def went_back(batch: Sequence[tuple[RunState, Ending]]) -> tuple[int, int]:
    """How many of these runs go back although their body had begun, and how many only waited here.

    What only waited lost nothing, and does not count towards what a process is to run.
    """
    back = [
        run.started_at > 0
        for run, ending in batch
        if ending.entry is not None and ending.entry.why in (Why.RELEASED, Why.INTERRUPTED)
    ]
    cut = sum(back)
    return cut, len(back) - cut


def begun(claim: Claim, process_id: str, claim_id: int, report: Reports) -> dict[str, RunState]:
    """A run for each job of a claim, by its id."""
    return {
        (job_id := job.id): RunState(job, Lease(job_id, process_id, job.run), claim_id, report)
        for job in claim.jobs
    }
