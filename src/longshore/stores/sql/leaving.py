"""How jobs of a SQL store leave those that wait or run, or go back: steps of several operations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from longshore.core.batches import End, with_another
from longshore.core.interruptions import Crash
from longshore.core.model import Run, Why
from longshore.stores.sql.bundles import Bundling, counted
from longshore.stores.sql.core import Deltas, add
from longshore.stores.sql.gates import Gating
from longshore.stores.sql.statements import Row, Steps, with_run
from longshore.stores.sql.walk import Column, rules_of

#: Why a job is dead that must not run twice.
INTERRUPTED: Final = "interrupted"

#: Whether a job that is given back was interrupted, and what is kept with its run.
Note = tuple[bool, Crash | None]
_RELEASED: Final[Note] = (False, None)


class Leaving(Bundling, Gating):
    """Ending jobs that wait, and giving back those that run."""

    def cancelled(self, jobs: Sequence[Row], reason: str, now: int, deltas: Deltas) -> Steps[None]:
        """End jobs that wait; ``jobs`` as the queries ``expired`` and ``standing`` give them."""
        yield from self._cancelled(jobs, [reason] * len(jobs), now, deltas)
        ends = [End(job[0], rules, "cancelled") for job in jobs if (rules := rules_of(job[6]))]
        yield from self.followed(ends, now, deltas)

    def followed(self, ends: Sequence[End], now: int, deltas: Deltas) -> Steps[None]:
        """What follows for batches and workflows when jobs have ended, in the same write."""
        ends = [end for end in ends if end.rules.bundles]
        if not ends:
            return
        tallies = yield from self.held_for(ends)
        while ends:
            counted(tallies, ends, 1)
            over = yield from self.bundled(ends, now)
            jobs = [row for row, _ in over]
            whys = [with_another(cause) for _, cause in over]
            yield from self._cancelled(jobs, whys, now, deltas)
            ends = [End(job[0], rules, "cancelled") for job in jobs if (rules := rules_of(job[6]))]
        yield from self.settled_bundles(tallies, now)

    def _cancelled(
        self, jobs: Sequence[Row], reasons: Sequence[str], now: int, deltas: Deltas
    ) -> Steps[None]:
        kept: list[Row] = []
        for job, reason in zip(jobs, reasons, strict=True):
            job_id, _, queue, kind, keep_result, runs, column, *_ = job
            until = self.kept_for(column, "cancelled", keep_result, now)
            if until != now:
                kept.append((job_id, "cancelled", until, now, 0, reason, None, None, runs, 0))
                add(deltas, queue, kind, "cancelled", 1)
        yield from self.ended(kept, [job[0] for job in jobs])
        yield from self.removed(jobs)

    def kept_for(self, column: Column, state: str, keep_result: int | None, now: int) -> int | None:
        """As ``kept_until``; a member of a bundle stays until pruning has looked at that."""
        until = self.kept_until(state, keep_result, now)
        if until == now and (rules := rules_of(column)) is not None and rules.bundles:
            return now + 1
        return until

    def ended(self, kept: Sequence[Row], ids: Sequence[str]) -> Steps[None]:
        """Copy the jobs to keep to those that have ended, then take all of these out."""
        if kept:
            yield self.sql["end"].many(kept)
        if ids:
            yield from self.taken_out(ids)

    def taken_out(self, ids: Sequence[str]) -> Steps[None]:
        """Take these jobs out of those that wait or run."""
        yield self.sql["remove"](ids=self.ids(ids))

    def removed(self, jobs: Sequence[Row]) -> Steps[None]:
        """What follows from taking out jobs that waited; ``jobs`` as for :meth:`cancelled`."""
        yield from self.left(jobs)
        yield from self.let_go([(job[0], job[6]) for job in jobs if job[6] is not None])

    def let_go(self, jobs: Iterable[tuple[str, Column]]) -> Steps[None]:
        """The rows of these jobs have been taken out: their keys are free."""
        holding = [job_id for job_id, column in jobs if _holds(column)]
        if holding:
            yield from self.unheld(holding, gone=True)

    def given_back(
        self, rows: Sequence[Row], now: int, deltas: Deltas, notes: Sequence[Note] = ()
    ) -> Steps[None]:
        """Give running jobs back; one that a person wants to end has ended by it.

        So has one that must not run twice, if it was interrupted. ``rows`` as the queries
        ``running`` and ``unreached`` give them; ``notes`` say of each whether it was interrupted,
        else none was.
        """
        released: list[Row] = []
        kept: list[Row] = []
        gone: list[str] = []
        freed: list[tuple[str, Column]] = []
        ends: list[End] = []
        for row, (interrupted, note) in zip(rows, notes or [_RELEASED] * len(rows), strict=True):
            job_id, run, process, started, queue, kind, asked, keep_result, reason, runs, ruled = (
                row
            )
            line = Run(
                run=run,
                process=process,
                started_at=started,
                ended_at=now,
                why=Why.INTERRUPTED if interrupted else Why.RELEASED,
                message=note.message if note else None,
                traceback=note.traceback if note else None,
            )
            history = with_run(runs, line)
            released.append((job_id, int(interrupted), history))
            rules = rules_of(ruled)
            if rules is not None:
                freed.append((job_id, ruled))
            if asked:
                state, why_ended = "cancelled", reason or "cancelled"
            elif rules is not None and rules.at_most_once and interrupted:
                state, why_ended = "dead", INTERRUPTED
            else:
                continue
            gone.append(job_id)
            if rules is not None:
                ends.append(End(job_id, rules, state))
            until = self.kept_for(ruled, state, keep_result, now)
            if until != now:
                kept.append((job_id, state, until, now, 0, why_ended, None, None, history, 0))
                add(deltas, queue, kind, state, 1)
        if released:
            yield self.sql["release"].many(released)
        yield from self.ended(kept, gone)
        if freed:
            yield from self.freed(freed)
            ended = frozenset(gone)
            yield from self.let_go([one for one in freed if one[0] in ended])
        yield from self.followed(ends, now, deltas)


def _holds(column: Column) -> bool:
    rules = rules_of(column)
    return rules is not None and rules.hold is not None
