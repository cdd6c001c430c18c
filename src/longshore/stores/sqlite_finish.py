"""How a SQLite file takes reports on runs: fenced, in any mixture, a repeated one answered."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.core.model import ENDED, TRANSITIONS, Ending, JobState, Lease
from longshore.stores.sql import Row, Steps, as_json, with_run
from longshore.stores.sqlite_core import TEXT, Core, Deltas, add

_SUCCEEDED = JobState.SUCCEEDED


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
        held: list[Lease] = []
        others = yield from self._successes(endings, held, now, deltas)
        if others:
            yield from self._others(others, held, now, deltas)
        return frozenset(held)

    def _successes(
        self, endings: Sequence[Ending], held: list[Lease], now: int, deltas: Deltas
    ) -> Steps[list[Ending]]:
        """The many that just succeeded, by few and cheap steps; returns the others."""
        plain = [e for e in endings if e.to is _SUCCEEDED and e.entry is None and not e.failed]
        if not plain:
            return list(endings)
        process_id = plain[0].lease.process_id
        rows: list[Row] = yield self.sql["leased_plain"](
            ids=as_json([ending.lease.job_id for ending in plain]), process_id=process_id
        )
        running = {row[0]: row for row in rows}
        # Taken out as they are met: the second report on a run is a repetition.
        take = running.pop
        others = [e for e in endings if e.to is not _SUCCEEDED or e.entry is not None or e.failed]
        silent: dict[int | None, list[str]] = {}
        told: list[Row] = []
        gone: list[str] = []
        counts: dict[tuple[str, str, int | None], int] = {}
        for ending in plain:
            lease = ending.lease
            row = take(lease.job_id, None)
            if row is None or row[1] != lease.run or lease.process_id != process_id:
                others.append(ending)
                continue
            held.append(lease)
            gone.append(lease.job_id)
            key = row[2:]
            counts[key] = counts.get(key, 0) + 1
            keep_result = row[4]
            if ending.result is None and ending.result_error is None and ending.reason is None:
                silent.setdefault(keep_result, []).append(lease.job_id)
                continue
            until = self.kept_until("succeeded", keep_result, now)
            why, error, result = ending.reason, ending.result_error, ending.result
            if until != now:
                told.append((lease.job_id, "succeeded", until, now, 0, why, error, result, None))
        for (queue, kind, keep_result), jobs in counts.items():
            add(deltas, queue, kind, "running", -jobs)
            if self.kept_until("succeeded", keep_result, now) != now:
                add(deltas, queue, kind, "succeeded", jobs)
        for keep_result, ids in silent.items():
            until = self.kept_until("succeeded", keep_result, now)
            if until != now:
                yield self.sql["end_plain"](ids=as_json(ids), now=now, until=until)
        yield from self.ended(told, gone)
        return others

    def _others(
        self, endings: Sequence[Ending], held: list[Lease], now: int, deltas: Deltas
    ) -> Steps[None]:
        """Whatever else may be: other endings, repetitions, leases that are lost."""
        rows: list[Row] = yield self.sql["leased"](
            ids=as_json([ending.lease.job_id for ending in endings])
        )
        standing = {row[0]: row for row in rows}
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


class _Work:
    """The endings of one report, sorted by the statements that write them."""

    def __init__(self, core: Core, now: int, deltas: Deltas) -> None:
        self.core = core
        self.now = now
        self.deltas = deltas
        self.kept: list[Row] = []  # ended, and kept
        self.gone: list[str] = []  # all that ended
        self.requeued: list[Row] = []

    def add(self, ending: Ending, row: Row) -> None:
        """Sort one ending that holds; ``row`` as the query ``leased`` gives it."""
        _, _, _, _, queue, kind, asked, keep_result, reason, runs = row
        if ending.entry is not None:
            runs = with_run(runs, ending.entry)
        add(self.deltas, queue, kind, "running", -1)
        to = ending.to
        why = ending.reason
        if asked and to is JobState.CANCELLED:
            # What the worker says is how it stopped; the person said why.
            why = reason or why
        elif asked and to not in ENDED:
            to = JobState.CANCELLED
            why = reason or why or "cancelled"
        if to in ENDED:
            self._end(ending, TEXT[to], (queue, kind, keep_result, why, runs))
        else:
            self._requeue(ending, queue, kind, runs)

    def _end(self, ending: Ending, state: str, row: Row) -> None:
        queue, kind, keep_result, why, runs = row
        job_id = ending.lease.job_id
        self.gone.append(job_id)
        until = self.core.kept_until(state, keep_result, self.now)
        if until == self.now:
            return
        add(self.deltas, queue, kind, state, 1)
        failed, error, result = int(ending.failed), ending.result_error, ending.result
        self.kept.append((job_id, state, until, self.now, failed, why, error, result, runs))

    def _requeue(self, ending: Ending, queue: str, kind: str, runs: bytes | None) -> None:
        again = ending.to is JobState.AVAILABLE
        state = TEXT[ending.to]
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
        if self.requeued:
            yield self.core.sql["requeue"].many(self.requeued)
        yield from self.core.ended(self.kept, self.gone)
