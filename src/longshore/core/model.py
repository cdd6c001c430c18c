"""What a job is: its records, its states, and the only table of allowed transitions.

Records are frozen ``msgspec.Struct``: they cross the seam between worker and store and are
built by the hundred thousand; they never form cycles, so the garbage collector need not look at
them (``gc=False``). Times are whole microseconds since 1970 UTC; durations are whole
microseconds; ``None`` in a retention means "for ever".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from longshore.core.limits import Rules


class JobState(StrEnum):
    """Where a job is in its life; see :data:`TRANSITIONS`."""

    WAITING = "waiting"
    SCHEDULED = "scheduled"
    AVAILABLE = "available"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    DEAD = "dead"


#: A job in one of these has ended; it is kept for its retention and then pruned.
ENDED = frozenset({JobState.SUCCEEDED, JobState.CANCELLED, JobState.DEAD})

#: A job in one of these will still run, or runs now.
LIVE = frozenset(JobState) - ENDED

#: Every allowed transition. Nothing outside this module may invent another; the stores' scripts
#: and the picture in the documentation are tested against it.
TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset({JobState.AVAILABLE, JobState.SCHEDULED, JobState.CANCELLED}),
    JobState.SCHEDULED: frozenset({JobState.AVAILABLE, JobState.CANCELLED}),
    JobState.AVAILABLE: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        {
            JobState.SUCCEEDED,
            JobState.RETRYING,  # a failed attempt
            JobState.SCHEDULED,  # snoozed
            JobState.AVAILABLE,  # released, interrupted or parked
            JobState.CANCELLED,
            JobState.DEAD,
        }
    ),
    JobState.RETRYING: frozenset({JobState.AVAILABLE, JobState.CANCELLED}),
    # An ended job lives again only by a person's retry.
    JobState.SUCCEEDED: frozenset({JobState.AVAILABLE}),
    # ... and waits again if it had not begun and what it depends on has not succeeded.
    JobState.CANCELLED: frozenset({JobState.AVAILABLE, JobState.WAITING}),
    JobState.DEAD: frozenset({JobState.AVAILABLE}),
}


class Why(StrEnum):
    """Why a run did not succeed, as kept in ``runs[]``."""

    FAILED = "failed"
    TIMED_OUT = "timed out"
    INTERRUPTED = "interrupted"
    SNOOZED = "snoozed"
    RELEASED = "released"
    CANCELLED = "cancelled"
    PARKED = "parked"


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One run that did not succeed. The first 20 and the last 80 of a job are kept."""

    run: int
    process: str
    started_at: int
    ended_at: int
    why: Why
    error: str | None = None  # exception class, module-qualified
    message: str | None = None  # at most 10 000 characters
    traceback: str | None = None  # at most 64 KiB


class Progress(msgspec.Struct, frozen=True, gc=False):
    """How far a running job says it is."""

    done: float
    total: float | None = None
    message: str | None = None


class NewJob(msgspec.Struct, frozen=True, gc=False):
    """A job not yet stored. ``state`` is available or scheduled (later: waiting).

    ``fresh``: the id was made for this very job, so none that has ended can have it and a store
    need not look among those, unless its replies can be lost and the request be repeated.
    ``shard_key``: what decides its shard instead of its kind; only a store of several shards asks.
    ``identity``: what its declaration says identifies it, digested; jobs are found by it.
    """

    id: str
    kind: str
    queue: str
    payload: bytes
    state: JobState
    priority: int
    scheduled_at: int  # when it is due; for an available job, when it was made
    created_at: int
    max_attempts: int = 25
    timeout: int | None = None
    expires_at: int | None = None
    keep_result: int | None = 86_400_000_000
    tags: tuple[str, ...] = ()
    meta: Mapping[str, Any] | None = None
    fresh: bool = False
    shard_key: str | None = None
    identity: str | None = None
    rules: Rules | None = None


class Inserted(msgspec.Struct, frozen=True, gc=False):
    """The outcome of storing one job; a conflict is a result here, not an error.

    ``duplicate``: the id was there already with the same kind and payload.
    ``conflict``: the id was there with another kind or payload; nothing was written for any job
    of the request.
    ``held``: the job ``id``, another one, holds the unique key. With ``conflict`` the request was
    to be refused then, and nothing was written for any job of it; with ``replaced`` the holder has
    got the new arguments and time.
    ``late``: with ``conflict``; what the jobs were to join has finished, or is unknown, or the run
    that was to add them has lost its lease. Nothing was written for any job of the request.
    """

    id: str
    duplicate: bool = False
    conflict: bool = False
    held: bool = False
    replaced: bool = False
    late: bool = False


class Lease(msgspec.Struct, frozen=True, gc=False):
    """The right to report on one run of one job: the fence of every write after a claim."""

    job_id: str
    process_id: str
    run: int


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """A job as a worker gets it. The order of fields is the order of a claim's columns."""

    id: str
    run: int
    kind: str
    queue: str
    payload: bytes
    priority: int
    failures: int
    interruptions: int
    max_attempts: int
    scheduled_at: int
    created_at: int
    claimed_at: int
    timeout: int | None
    keep_result: int | None
    budgets: bytes | None  # JSON object: failures counted by each retry_on policy
    tags: tuple[str, ...]
    meta: bytes | None  # JSON object

    @property
    def attempt(self) -> int:
        """What people read: failures so far and this one."""
        return self.failures + 1


class Ending(msgspec.Struct, frozen=True, gc=False):
    """How one run ended: the only record a worker reports with.

    ``to`` is succeeded, cancelled or dead (the job has ended), retrying or scheduled (due again
    ``at``), or available (given back, keeps its place). ``failed`` counts a failure; ``entry`` is
    the line for ``runs[]`` of a run that did not succeed. ``parked`` marks an available job that
    no process knowing only these kinds may take again. ``queue`` and ``priority`` move a job that
    goes on.
    """

    lease: Lease
    to: JobState
    at: int | None = None
    failed: bool = False
    interrupted: bool = False  # its process died under it: interruptions + 1, to is available
    entry: Run | None = None
    result: bytes | None = None
    result_error: str | None = None
    reason: str | None = None
    budgets: bytes | None = None
    parked: str | None = None
    parked_by: str | None = None  # digest of the list of kinds of the process that parked it
    queue: str | None = None
    priority: int | None = None


class Step(msgspec.Struct, frozen=True, gc=False):
    """A durable part of a job: what it returned, or with ``cursor`` how far a loop has come.

    ``value`` is JSON. ``run`` is the run that saved it and ``saved_at`` its clock. A step that is
    saved again under its name replaces the one before.
    """

    name: str
    value: bytes
    saved_at: int
    run: int
    cursor: bool = False


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """A line that a job wrote to its log.

    ``number`` grows from line to line over all runs of the job: :data:`RUN_LINES` times the run,
    and behind it the number of the line in that run, from 1. A line is stored once under it.
    """

    number: int
    at: int
    level: str
    message: str

    @property
    def run(self) -> int:
        """The run that wrote it."""
        return self.number // RUN_LINES


#: The numbers of the lines of one run lie between those of two others.
RUN_LINES = 10_000_000

#: So many lines of a job are kept, the last ones.
LOG_LINES = 1000


class Patch(msgspec.Struct, frozen=True, gc=False):
    """What a running job says of itself between claim and end; fenced like an ending.

    Steps are stored by their names, lines of the log by their numbers; an empty field changes
    nothing.
    """

    lease: Lease
    progress: Progress | None = None
    steps: tuple[Step, ...] = ()
    lines: tuple[LogLine, ...] = ()


class JobRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A stored job as people read it, live or ended."""

    id: str
    kind: str
    queue: str
    state: JobState
    payload: bytes
    priority: int
    run: int
    failures: int
    interruptions: int
    max_attempts: int
    scheduled_at: int
    created_at: int
    attempted_at: int | None  # first claimed
    claimed_at: int | None  # start of the present run
    finalized_at: int | None
    expires_at: int | None
    timeout: int | None
    keep_result: int | None
    claimed_by: str | None
    cancel_requested: bool
    parked: str | None
    reason: str | None
    result: bytes | None
    result_error: str | None
    progress: Progress | None
    tags: tuple[str, ...]
    meta: Mapping[str, Any]
    runs: tuple[Run, ...]
    identity: str | None = None
    rules: Rules | None = None
    blocked_by: str | None = None  # an available job: the key of the limit that it waits for

    @property
    def attempt(self) -> int:
        """The present attempt, or the last one made: failures + 1, but a dead job's last failed.

        Unless it was interrupted.
        """
        failed = self.state is JobState.DEAD and not (
            self.runs and self.runs[-1].why is Why.INTERRUPTED
        )
        return max(1, self.failures + (not failed))

    @property
    def schedule(self) -> str | None:
        """The name of the schedule that enqueued it."""
        name = self.meta.get("schedule")
        return name if isinstance(name, str) else None

    @property
    def error_after_success(self) -> str | None:
        """What the body raised after its ``ctx.transaction()`` was committed."""
        return self.reason if self.state is JobState.SUCCEEDED else None

    @property
    def error(self) -> str | None:
        """The last recorded error, as ``Class: message``; ``None`` if no run raised."""
        for run in reversed(self.runs):
            if run.error is not None:
                return f"{run.error}: {run.message}" if run.message else run.error
        return None


def unstored(new: NewJob) -> JobRecord:
    """What is known of a job before it was read: as it was given to the store."""
    return JobRecord(
        id=new.id,
        kind=new.kind,
        queue=new.queue,
        state=new.state,
        payload=new.payload,
        priority=new.priority,
        run=0,
        failures=0,
        interruptions=0,
        max_attempts=new.max_attempts,
        scheduled_at=new.scheduled_at,
        created_at=new.created_at,
        attempted_at=None,
        claimed_at=None,
        finalized_at=None,
        expires_at=new.expires_at,
        timeout=new.timeout,
        keep_result=new.keep_result,
        claimed_by=None,
        cancel_requested=False,
        parked=None,
        reason=None,
        result=None,
        result_error=None,
        progress=None,
        tags=new.tags,
        meta=new.meta or {},
        runs=(),
        identity=new.identity,
        rules=new.rules,
    )
