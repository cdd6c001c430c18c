"""How a SQLite file takes reports on runs: fenced, in any mixture, a repeated one answered."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.core.model import ENDED, TRANSITIONS, Ending, JobState, Lease
from longshore.stores.sql import Row, Steps, as_json, with_run
from longshore.stores.sqlite_core import TEXT, Core, Deltas, add


class Finishing(Core):
    """The steps of a report."""

    def finished(
        self, endings: Sequence[Ending], now: int, deltas: Deltas
    ) -> Steps[frozenset[Lease]]:
        """End runs; the caller writes the counts."""
        if not endings:
            return frozenset()
        wrong = {ending.to for ending in endings} - TRANSITIONS[JobState.RUNNING]
        if wrong:
            raise ValueError(f"a run cannot end in the state {min(wrong)}")
        rows: list[Row] = yield self.sql["leased"](
            ids=as_json([ending.lease.job_id for ending in endings])
        )
        standing = {row[0]: row for row in rows}
        held: list[Lease] = []
        missing: list[Lease] = []
        work = _Work(self, now, deltas)
        for ending in endings:
            lease = ending.lease
            row = standing.get(lease.job_id)
            if row is None:
                missing.append(lease)
            elif row[3] == lease.run and row[2] == lease.process_id:
                held.append(lease)
                if row[1] == "running":  # else it is a repetition
                    standing[lease.job_id] = (*row[:1], "ended", *row[2:])
                    work.add(ending, row)
        if missing:
            past: list[Row] = yield self.sql["leased_ended"](
                ids=as_json([lease.job_id for lease in missing])
            )
            known = {Lease(*row) for row in past}
            held += [lease for lease in missing if lease in known]
        yield from work.written()
        return frozenset(held)


class _Work:
    """The endings of one report, sorted by the statements that write them."""

    def __init__(self, core: Core, now: int, deltas: Deltas) -> None:
        self.core = core
        self.now = now
        self.deltas = deltas
        self.plain: list[str] = []  # succeeded, kept, nothing to tell
        self.told: list[Row] = []  # ended, kept
        self.gone: list[str] = []  # all that ended
        self.requeued: list[Row] = []

    def add(self, ending: Ending, row: Row) -> None:
        """Sort one ending that holds; ``row`` as the query ``leased`` gives it."""
        job_id, _, _, _, queue, kind, asked, keep_result, reason, runs = row
        if ending.entry is not None:
            runs = with_run(runs, ending.entry)
        add(self.deltas, queue, kind, "running", -1)
        to = ending.to
        if to in ENDED:
            why = ending.reason
            if asked and to is JobState.CANCELLED:
                # What the worker says is how it stopped; the person said why.
                why = reason or ending.reason
        elif asked:
            to = JobState.CANCELLED
            why = reason or ending.reason or "cancelled"
        else:
            self._requeue(ending, queue, kind, runs)
            return
        state = TEXT[to]
        self.gone.append(job_id)
        until = self.core.kept_until(state, keep_result, self.now)
        if until == self.now:
            return
        add(self.deltas, queue, kind, state, 1)
        if (
            to is JobState.SUCCEEDED
            and ending.entry is None
            and ending.result is None
            and why is None
            and ending.result_error is None
            and not ending.failed
        ):
            self.plain.append(job_id)
        else:
            failed = int(ending.failed)
            self.told.append(
                (
                    job_id,
                    state,
                    until,
                    self.now,
                    failed,
                    why,
                    ending.result_error,
                    ending.result,
                    runs,
                )
            )

    def _requeue(self, ending: Ending, queue: str, kind: str, runs: bytes | None) -> None:
        state = TEXT[ending.to]
        again = ending.to is JobState.AVAILABLE
        add(self.deltas, ending.queue or queue, kind, state, 1)
        self.requeued.append(
            (
                ending.lease.job_id,
                state,
                None if again else ending.at,
                int(ending.failed),
                runs,
                ending.budgets,
                ending.queue,
                ending.priority,
                ending.parked if again else None,
                ending.parked_by if again else None,
                ending.reason,
            )
        )

    def written(self) -> Steps[None]:
        """Write them all."""
        sql = self.core.sql
        if self.plain:
            kept = self.core.kept["succeeded"]
            yield sql["end_plain"](ids=as_json(self.plain), now=self.now, kept=kept)
        if self.requeued:
            yield sql["requeue"].many(self.requeued)
        yield from self.core.ended(self.told, self.gone)
