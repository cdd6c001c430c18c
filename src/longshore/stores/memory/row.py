"""One job of the memory store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import json

from longshore.core.model import (
    LOG_LINES,
    JobRecord,
    JobState,
    LogLine,
    NewJob,
    Progress,
    Run,
    Step,
)

#: How many jobs of one queue and kind are in each state.
Tally: TypeAlias = dict[JobState, int]

FIRST_RUNS = 20
LAST_RUNS = 80


class Row(msgspec.Struct, eq=False, gc=False):
    """One job. What changes only where a job replaces another is read from ``new``.

    It points at nothing that points back, so the garbage collector need not look at it.
    """

    new: NewJob
    tally: Tally
    state: JobState
    queue: str
    priority: int
    scheduled_at: int
    expires_at: int | None
    meta: bytes | None
    run: int = 0
    failures: int = 0
    interruptions: int = 0
    claim_id: int = 0
    attempted_at: int | None = None
    claimed_at: int = 0
    finalized_at: int | None = None
    kept_until: int | None = None
    claimed_by: str | None = None
    cancel_requested: bool = False
    parked: str | None = None
    parked_by: str | None = None
    reason: str | None = None
    result: bytes | None = None
    result_error: str | None = None
    progress: Progress | None = None
    budgets: bytes | None = None
    runs: tuple[Run, ...] = ()
    steps: dict[str, Step] | None = None
    lines: dict[int, LogLine] | None = None
    place: int = 0  # serial number of its entry in a line; 0 when it waits in none
    held_until: int | None = None  # when the next insert may clear the key that it holds
    blocked_by: str | None = None  # the limit or kind behind which it waits, out of its line

    @classmethod
    def of(cls, new: NewJob, tally: Tally) -> Row:
        """The row of a job that has just come."""
        meta = json.encode(new.meta) if new.meta else None
        return cls(
            new,
            tally,
            new.state,
            new.queue,
            new.priority,
            new.scheduled_at,
            new.expires_at,
            meta,
        )

    def log(self, run: Run) -> None:
        """Add a line to the history, of which the first and the last are kept."""
        runs = (*self.runs, run)
        if len(runs) > FIRST_RUNS + LAST_RUNS:
            runs = runs[:FIRST_RUNS] + runs[-LAST_RUNS:]
        self.runs = runs

    def note(self, steps: tuple[Step, ...], lines: tuple[LogLine, ...]) -> None:
        """Keep steps by their names, and the last lines of the log."""
        if steps:
            self.steps = {**(self.steps or {}), **{step.name: step for step in steps}}
        if lines:
            all_lines = {**{line.number: line for line in lines}, **(self.lines or {})}
            self.lines = {number: all_lines[number] for number in sorted(all_lines)[-LOG_LINES:]}

    def record(self) -> JobRecord:
        """The job as people read it."""
        new = self.new
        meta: Mapping[str, Any] = json.decode(self.meta) if self.meta else {}
        return JobRecord(
            id=new.id,
            kind=new.kind,
            queue=self.queue,
            state=self.state,
            payload=new.payload,
            priority=self.priority,
            run=self.run,
            failures=self.failures,
            interruptions=self.interruptions,
            max_attempts=new.max_attempts,
            scheduled_at=self.scheduled_at,
            created_at=new.created_at,
            attempted_at=self.attempted_at,
            claimed_at=self.claimed_at or None,
            finalized_at=self.finalized_at,
            expires_at=self.expires_at,
            timeout=new.timeout,
            keep_result=new.keep_result,
            claimed_by=self.claimed_by,
            cancel_requested=self.cancel_requested,
            parked=self.parked,
            reason=self.reason,
            result=self.result,
            result_error=self.result_error,
            progress=self.progress,
            tags=new.tags,
            meta=meta,
            runs=self.runs,
            identity=new.identity,
            rules=new.rules,
            blocked_by=self.blocked_by,
        )
