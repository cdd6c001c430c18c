"""A job of the reference model, and what can be said of it without the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from longshore.core.interruptions import Crash
from longshore.core.limits import Rules
from longshore.core.model import (
    ENDED,
    Claimed,
    JobState,
    Lease,
    LogLine,
    NewJob,
    Progress,
    Run,
    Step,
    Why,
)
from longshore.core.store import Line, Retention

NO_RULES: Final = Rules()


class ModelJob(msgspec.Struct):
    """One job as the model remembers it."""

    new: NewJob
    queue: str
    priority: int
    state: JobState
    scheduled_at: int
    expires_at: int | None
    payload: bytes
    rules: Rules | None = None
    identity: str | None = None
    #: The unique key that it holds now, and until when it does for sure.
    key: str | None = None
    held_until: int | None = None
    run: int = 0
    failures: int = 0
    interruptions: int = 0
    attempted_at: int | None = None
    claimed_at: int | None = None
    finalized_at: int | None = None
    claimed_by: str | None = None
    claim_id: int = 0
    cancel_requested: bool = False
    parked: str | None = None
    parked_by: str | None = None
    reason: str | None = None
    result: bytes | None = None
    result_error: str | None = None
    budgets: bytes | None = None
    progress: Progress | None = None
    runs: tuple[Run, ...] = ()
    steps: Mapping[str, Step] = {}
    lines: Mapping[int, LogLine] = {}
    #: Until when pruning has put it off, for what it belongs to.
    put_off: int | None = None
    #: The last lease whose ending was taken; ``None`` once the run was taken from its process.
    told: Lease | None = None

    @property
    def place(self) -> tuple[int, int, str]:
        """Where it stands in its line."""
        return (self.priority, self.scheduled_at, self.new.id)

    @property
    def ruled(self) -> Rules:
        """Its rules, which may be none."""
        return self.rules or NO_RULES

    @property
    def rated(self) -> bool:
        """Whether it comes for free slots only."""
        return any(limit.per is not None for limit in self.ruled.limits)

    def lease(self) -> Lease:
        """The lease of the present run; only for a running job."""
        assert self.claimed_by is not None
        return Lease(self.new.id, self.claimed_by, self.run)

    def hold(self, now: int) -> None:
        """Take the key of its rules."""
        hold = self.ruled.hold
        self.key = None if hold is None else hold.key
        self.held_until = None if hold is None or hold.ttl is None else now + hold.ttl

    @property
    def key_again(self) -> str | None:
        """The key that a person's retry has to take again."""
        hold = self.ruled.hold
        if hold is None or self.state not in ENDED:
            return None
        return None if hold.until_started and self.attempted_at is not None else hold.key

    def end(self, now: int, state: JobState, reason: str | None = None) -> None:
        """It has ended."""
        self.state = state
        self.finalized_at = now
        self.reason = reason
        self.claimed_at = self.parked = self.parked_by = self.budgets = self.key = None
        self.cancel_requested = False
        self.put_off = None

    def expire(self, now: int) -> None:
        """It has not started in time."""
        self.end(now, JobState.CANCELLED, "expired")

    def give_back(self, now: int, *, interrupted: bool, note: Crash | None = None) -> None:
        """Its process is gone, or never got it."""
        assert self.claimed_by is not None
        entry = Run(
            run=self.run,
            process=self.claimed_by,
            started_at=self.claimed_at or 0,
            ended_at=now,
            why=Why.INTERRUPTED if interrupted else Why.RELEASED,
            message=note.message if note else None,
            traceback=note.traceback if note else None,
        )
        self.interruptions += interrupted
        self.runs = kept_runs((*self.runs, entry))
        if self.cancel_requested:
            self.end(now, JobState.CANCELLED, self.reason)
        elif interrupted and self.ruled.at_most_once:
            self.end(now, JobState.DEAD, "interrupted")
        else:
            self.state = JobState.AVAILABLE
        self.claimed_by = self.claimed_at = self.told = None

    def kept_for(self, retention: Retention) -> int | None:
        """How long it stays after its end; ``None`` for ever, and while it has not ended."""
        match self.state:
            case JobState.SUCCEEDED:
                by_state = retention.succeeded
            case JobState.CANCELLED:
                by_state = retention.cancelled
            case JobState.DEAD:
                by_state = retention.dead
            case _:
                return None
        by_job = self.new.keep_result
        if by_state is None or by_job is None:
            return None
        # A member stays until pruning has looked at what it belongs to.
        return max(by_state, by_job, int(bool(self.ruled.bundles)))


def value_of(job: ModelJob) -> str:
    """With whom it takes turns; all that have no value are one."""
    fair = job.ruled.fair
    return "" if fair is None else fair.key


def serves(line: Line, queue: str) -> bool:
    """Whether a line takes jobs of this queue."""
    return _matches(line.queues, queue) and not _matches(line.excludes, queue)


def kept_runs(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """The first 20 and the last 80."""
    return runs if len(runs) <= 100 else (*runs[:20], *runs[-80:])


def _matches(names: Iterable[str], queue: str) -> bool:
    return any(
        queue.startswith(name[:-1]) if name.endswith("*") else queue == name for name in names
    )


def claimed(job: ModelJob) -> Claimed:
    """A running job as its process gets it."""
    own = (
        "run",
        "queue",
        "priority",
        "failures",
        "interruptions",
        "scheduled_at",
        "budgets",
        "payload",
    )
    given = (
        "id",
        "kind",
        "max_attempts",
        "created_at",
        "timeout",
        "keep_result",
        "tags",
    )
    fields: dict[str, Any] = {name: getattr(job, name) for name in own}
    fields |= {name: getattr(job.new, name) for name in given}
    return Claimed(**fields, claimed_at=job.claimed_at or 0, meta=None)


def doubted(leases: dict[str, int], lost: Iterable[str], patience: int, now: int) -> set[str]:
    """Of processes without a lease those that keep their jobs for now; since when is noted."""
    kept: set[str] = set()
    for process_id in lost:
        end = leases.get(process_id, 0)
        if end > 0:
            leases[process_id] = -now
            kept.add(process_id)
        elif end < 0 and now < patience - end:
            kept.add(process_id)
    return kept
