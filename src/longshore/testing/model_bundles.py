"""Batches and workflows of the reference model: looked at anew after each operation.

A bundle remembers of each member how it ended, or that it is live. What has changed since is found
by comparing that with the jobs; everything else follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from longshore.core.batches import (
    COMPLETE,
    DEATH,
    SUCCESS,
    Bundle,
    NewBundle,
    Output,
    Together,
    blocker,
    doomed,
    filled,
    older,
    stays,
)
from longshore.core.model import ENDED, JobState, NewJob
from longshore.core.store import Retention
from longshore.testing.model_job import ModelJob


class ModelBundle(msgspec.Struct):
    """One bundle: its members by id, ``None`` for those that are live."""

    new: NewBundle
    members: dict[str, JobState | None]
    told: int = 0
    finished_at: int | None = None

    def ended(self, state: JobState) -> int:
        """How many members ended so."""
        return list(self.members.values()).count(state)

    @property
    def worst(self) -> JobState:
        """The worst end of a member."""
        bad = (JobState.DEAD, JobState.CANCELLED)
        return next((state for state in bad if self.ended(state)), JobState.SUCCEEDED)

    def read(self) -> Bundle:
        """As a store has to show it."""
        return Bundle(
            new=self.new,
            live=list(self.members.values()).count(None),
            succeeded=self.ended(JobState.SUCCEEDED),
            cancelled=self.ended(JobState.CANCELLED),
            dead=self.ended(JobState.DEAD),
            told=self.told,
            finished_at=self.finished_at,
        )


class ModelBundles:
    """All bundles over the jobs of the model; ``store`` takes the callbacks."""

    def __init__(
        self,
        jobs: Mapping[str, ModelJob],
        retention: Retention,
        store: Callable[[NewJob], object],
    ) -> None:
        self.jobs = jobs
        self.store = store
        self.kept = {
            JobState.SUCCEEDED: retention.succeeded,
            JobState.CANCELLED: retention.cancelled,
            JobState.DEAD: retention.dead,
        }
        self.all: dict[str, ModelBundle] = {}
        self.seen = False

    def shown(self) -> dict[str, Bundle]:
        """All of them as a store has to show them."""
        return {bundle: one.read() for bundle, one in self.all.items()}

    def fits(self, fresh: Sequence[NewJob], together: Together, *, holds: bool) -> bool:
        """Whether new jobs may join; ``holds``: who adds them, if anybody, has a lease."""
        new = [bundle for bundle in together.bundles if bundle.id not in self.all]
        if not fresh and not new:
            return True
        return holds and all(map(self.is_open, older(fresh, together)))

    def add(self, stored: Sequence[NewJob], together: Together, now: int) -> None:
        """Note what has just been stored."""
        new = [bundle for bundle in together.bundles if bundle.id not in self.all]
        self.seen = self.seen or bool(new)
        self.all |= {bundle.id: ModelBundle(bundle, {}) for bundle in new}
        for job in stored:
            for bundle in () if job.rules is None else job.rules.bundles:
                self.all[bundle].members[job.id] = None
        self._settle({bundle.id for bundle in new}, now)

    def is_open(self, bundle: str) -> bool:
        """Whether it is there and has not finished."""
        return bundle in self.all and self.all[bundle].finished_at is None

    def is_bound(self, job: ModelJob) -> bool:
        """Whether a job belongs to something that has not finished."""
        return any(map(self.is_open, job.ruled.bundles))

    def stays(self, job: ModelJob, now: int) -> int:
        """For how long an ended job stays for what it belongs to, or 0."""
        there = [self.all[bundle] for bundle in job.ruled.bundles if bundle in self.all]
        later = [stays(one.read(), self._kept_until(one), now) for one in there]
        return min(filter(None, later), default=0)

    def follow(self, now: int) -> None:
        """Bring about all that follows from what members have done."""
        touched: set[str] = set()
        while changed := list(self._changed()):
            ended: set[str] = set()
            for bundle, job in changed:
                state = job.state if job.state in ENDED else None
                bundle.members[job.new.id] = state
                touched.add(bundle.new.id)
                ended |= {job.new.id} if state else set()
            waiting = [job for job in self.jobs.values() if self._waits_for(job, ended)]
            causes = [doomed(job.ruled, self._outputs(job)) for job in waiting]
            for job, cause in zip(waiting, causes, strict=True):
                if cause is not None:
                    job.end(now, JobState.CANCELLED, f"dependency {cause} has not succeeded")
                elif self.may_go(job):
                    self.fill(job)
                    job.state = JobState.AVAILABLE
                    if job.scheduled_at > now:
                        job.state = JobState.SCHEDULED
                    job.scheduled_at = max(job.scheduled_at, now)
        self._settle(touched, now)

    def may_go(self, job: ModelJob) -> bool:
        """Whether all that a job waits for has succeeded."""
        return blocker(job.ruled, self._outputs(job)) is None

    def fill(self, job: ModelJob) -> None:
        """Put what others returned into its arguments."""
        job.payload = filled(job.payload, job.ruled, self._outputs(job))

    def prune(self, now: int) -> None:
        """Forget what finished and is past its time."""
        for bundle in list(self.all.values()):
            until = self._kept_until(bundle)
            if until is not None and until <= now:
                del self.all[bundle.new.id]

    # --- parts ---

    def _kept_until(self, bundle: ModelBundle) -> int | None:
        """Until when it stays; ``None``: for ever, or it has not finished."""
        kept, ended = self.kept[bundle.worst], bundle.finished_at
        return None if ended is None or kept is None else ended + kept

    def _changed(self) -> Iterator[tuple[ModelBundle, ModelJob]]:
        for bundle in self.all.values():
            for job_id, before in bundle.members.items():
                job = self.jobs.get(job_id)
                if job is not None and before is not (job.state if job.state in ENDED else None):
                    yield bundle, job

    def _waits_for(self, job: ModelJob, ended: set[str]) -> bool:
        waits = job.state is JobState.WAITING
        return waits and any(after.job_id in ended for after in job.ruled.after)

    def _outputs(self, job: ModelJob) -> dict[str, Output]:
        there = [self.jobs.get(after.job_id) for after in job.ruled.after]
        return {
            one.new.id: Output(one.state, one.result, one.result_error is not None)
            for one in there
            if one is not None and one.state in ENDED
        }

    def _settle(self, touched: set[str], now: int) -> None:
        some = [self.all[bundle] for bundle in touched]
        for bundle in sorted(some, key=lambda one: -len(one.new.parents)):
            new, live = bundle.new, None in bundle.members.values()
            bundle.finished_at = None if live else bundle.finished_at or now
            good = not live and bundle.worst is JobState.SUCCEEDED
            happened = (
                (DEATH, bundle.ended(JobState.DEAD) > 0, new.on_death),
                (COMPLETE, not live, new.on_complete),
                (SUCCESS, good, new.on_success),
            )
            for bit, has, callback in happened:
                if has and not bundle.told & bit:
                    bundle.told |= bit
                    if callback is not None:
                        times = {"created_at": now, "scheduled_at": now}
                        self.store(msgspec.structs.replace(callback, **times))
