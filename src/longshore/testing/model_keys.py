"""Unique keys of the reference model: who holds one, and what an insert makes of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from longshore.core.batches import replacing
from longshore.core.limits import OnConflict
from longshore.core.model import Inserted, JobState, NewJob
from longshore.testing.model_job import ModelJob

_RULED: Final = ("rules", "identity")


class ModelKeys:
    """The jobs of the model; at most one live one holds each key."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.jobs: dict[str, ModelJob] = {}

    def _insert(self, new: NewJob) -> Inserted:
        stored = self.jobs.get(new.id)
        if stored is not None:
            same = (stored.new.kind, stored.payload) == (new.kind, new.payload)
            return Inserted(new.id, duplicate=same, conflict=not same)
        hold = None if new.rules is None else new.rules.hold
        holder = None if hold is None else self.holder(hold.key)
        if holder is not None and self._is_over(holder):
            holder.key, holder = None, None
        if hold is None or holder is None:
            place = (new.queue, new.priority, new.state, new.scheduled_at)
            job = ModelJob(new, *place, new.expires_at, new.payload, new.rules, new.identity)
            job.hold(self.now)
            self.jobs[new.id] = job
            return Inserted(new.id)
        match hold.on_conflict:
            case OnConflict.RAISE:
                return Inserted(holder.new.id, held=True, conflict=True)
            case OnConflict.REPLACE if self._replaceable(holder) and (left := replacing(new)):
                for name in ("payload", "state", "scheduled_at", "expires_at", *_RULED):
                    setattr(holder, name, getattr(left, name))
                holder.parked = holder.parked_by = None
                holder.steps = {}  # what was done for other arguments
                holder.hold(self.now)
                return Inserted(holder.new.id, duplicate=True, held=True, replaced=True)
            case _:
                return Inserted(holder.new.id, duplicate=True, held=True)

    def _is_over(self, holder: ModelJob) -> bool:
        """Whether a holder has had its time, or can never start."""
        times = [holder.held_until, holder.expires_at if holder.attempted_at is None else None]
        return any(time is not None and time <= self.now for time in times)

    def _replaceable(self, holder: ModelJob) -> bool:
        """Whether its arguments may change: it does not run, and nobody counts on what it is."""
        return holder.state is not JobState.RUNNING and not holder.ruled.bundles

    def holder(self, key: str) -> ModelJob | None:
        """Who holds a unique key."""
        return next((job for job in self.jobs.values() if job.key == key), None)

    def _must_wait(self, job_id: str, ids: Sequence[str]) -> bool:
        """Whether another holds the key that a retried job would take, or takes it before."""
        job = self.jobs.get(job_id)
        key = None if job is None else job.key_again
        if key is None:
            return False
        first = next(one for one in ids if one in self.jobs and self.jobs[one].key_again == key)
        return self.holder(key) is not None or first != job_id
