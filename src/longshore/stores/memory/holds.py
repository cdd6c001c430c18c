"""Unique keys of the memory store: who holds one, and what becomes of the jobs that want it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from longshore.core.batches import replacing
from longshore.core.limits import Hold, OnConflict
from longshore.core.model import Inserted, NewJob
from longshore.stores.memory.limits import Limiting
from longshore.stores.memory.row import Row
from longshore.stores.memory.rows import RUNNING


class Holding(Limiting):
    """Storing jobs, and taking keys again."""

    def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        fresh: dict[str, NewJob] = {}
        answers: list[Inserted] = []
        refused = False
        plan: _Plan | None = None
        for job in jobs:
            row = self.rows.get(job.id)
            there = fresh.get(job.id) if row is None else row.new
            if there is not None:
                same = there.kind == job.kind and there.payload == job.payload
                refused = refused or not same
                answers.append(Inserted(job.id, duplicate=same, conflict=not same))
                continue
            if job.rules is not None and job.rules.hold is not None:
                plan = plan or _Plan(self.holders, fresh, self.clock.wall_us())
                held = plan.held(job, job.rules.hold)
                if held is not None:
                    refused = refused or held.conflict
                    answers.append(held)
                    continue
            fresh[job.id] = job
            answers.append(Inserted(job.id))
        if not refused:
            if plan is not None:
                self._give(plan)
            for job in fresh.values():
                self.add(job)
            if plan is not None:
                for key, job_id in plan.taken.items():
                    self._hold(self.rows[job_id], key, plan.now)
        return answers

    def retake(self, row: Row, now: int) -> bool:
        """An ended row that goes on takes its key again; false if another has it."""
        hold = None if row.new.rules is None else row.new.rules.hold
        if hold is None or (hold.until_started and row.attempted_at is not None):
            return True
        if hold.key in self.holders:
            return False
        self._hold(row, hold.key, now)
        return True

    def _give(self, plan: _Plan) -> None:
        """Do with those who held keys before what was planned."""
        for row in plan.over:
            self.unhold(row)
        for row, job in plan.replaced.values():
            self._replace(row, job, plan.now)

    def _hold(self, row: Row, key: str, now: int) -> None:
        self.holders[key] = row
        hold = None if row.new.rules is None else row.new.rules.hold
        row.held_until = None if hold is None or hold.ttl is None else now + hold.ttl

    def _replace(self, row: Row, job: NewJob, now: int) -> None:
        """A row that holds a key and does not run gets the arguments and the time of a new job."""
        self.withdraw(row)
        self.unname(row)
        row.new = replaced(row.new, job)
        row.steps = None  # what was done for other arguments
        if row.new.identity is not None:
            self.named.setdefault(row.new.identity, {})[row.new.id] = row
        row.parked = row.parked_by = None
        row.scheduled_at, row.expires_at = job.scheduled_at, job.expires_at
        self.step(row, job.state)
        self.place(row)
        if job.expires_at is not None:
            self.expires(row, job.expires_at)
        if job.rules is not None and job.rules.hold is not None:
            self._hold(row, job.rules.hold.key, now)


class _Plan:
    """What a request does to unique keys, worked out before anything is changed."""

    def __init__(self, holders: dict[str, Row], fresh: dict[str, NewJob], now: int) -> None:
        self.now = now
        self.taken: dict[str, str] = {}  # by key: the job of this request that takes it
        self.over: list[Row] = []  # who loses a key because its time is over
        self.replaced: dict[str, tuple[Row, NewJob]] = {}
        self._holders = holders
        self._fresh = fresh

    def held(self, job: NewJob, hold: Hold) -> Inserted | None:
        """The answer if another job has the key; ``None`` if this one takes it."""
        mine = self.taken.get(hold.key)
        row = self._holders.get(hold.key) if mine is None else None
        if row is not None and self._is_over(row):
            self.over.append(row)
            row = None
        if mine is None and row is None:
            self.taken[hold.key] = job.id
            return None
        holder = row.new.id if row is not None else mine or ""
        if hold.on_conflict is OnConflict.RAISE:
            return Inserted(holder, held=True, conflict=True)
        if hold.on_conflict is OnConflict.RETURN or (
            row is not None and (row.state is RUNNING or is_bound(row.new))
        ):
            return Inserted(holder, duplicate=True, held=True)
        left = replacing(job)
        if left is None:
            return Inserted(holder, duplicate=True, held=True)
        if row is None and is_bound(self._fresh[holder]):
            return Inserted(holder, duplicate=True, held=True)
        if row is not None:
            self.replaced[holder] = (row, left)
        else:
            self._fresh[holder] = replaced(self._fresh[holder], left)
        return Inserted(holder, duplicate=True, held=True, replaced=True)

    def _is_over(self, row: Row) -> bool:
        times = [row.held_until, row.expires_at if row.attempted_at is None else None]
        over = any(time is not None and time <= self.now for time in times)
        return over and row.new.id not in self.replaced


def is_bound(job: NewJob) -> bool:
    """Whether a job belongs to a batch or workflow: others count on what it is."""
    return job.rules is not None and bool(job.rules.bundles)


def replaced(old: NewJob, new: NewJob) -> NewJob:
    """The old job with what a replacement takes over from the new one."""
    return msgspec.structs.replace(
        old,
        payload=new.payload,
        state=new.state,
        scheduled_at=new.scheduled_at,
        expires_at=new.expires_at,
        identity=new.identity,
        rules=new.rules,
    )
