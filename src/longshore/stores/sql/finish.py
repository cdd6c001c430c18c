"""How a SQL store takes reports on runs: fenced, in any mixture, a repeated one answered."""

from __future__ import annotations

from collections.abc import Container, Sequence

from longshore.core.batches import End
from longshore.core.model import ENDED, TRANSITIONS, Ending, JobState, Lease
from longshore.stores.sql.core import TEXT, Deltas, add
from longshore.stores.sql.leaving import INTERRUPTED, Leaving
from longshore.stores.sql.statements import Row, Steps, with_run
from longshore.stores.sql.walk import Column, is_bundled, is_tied, rules_of

_SUCCEEDED = JobState.SUCCEEDED

#: How many different run numbers a report may have to be taken as one of many alike; so many
#: different results are still worth a statement each.
RUNS = 4


class Finishing(Leaving):
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
        others = yield from self.successes(endings, held, now, deltas)
        if others:
            yield from self._others(others, held, now, deltas)
        return frozenset(held)

    def successes(
        self, endings: Sequence[Ending], held: list[Lease], now: int, deltas: Deltas
    ) -> Steps[list[Ending]]:
        """The many that just succeeded, without looking at each; returns the others.

        Where something is special about one of them, all are others.
        """
        plain = [e for e in endings if _plain(e)]
        ids = [e.lease.job_id for e in plain]
        process_ids = {e.lease.process_id for e in plain}
        by_run: dict[int, list[str]] = {}
        for ending in plain:
            by_run.setdefault(ending.lease.run, []).append(ending.lease.job_id)
        # Of two reports on one job the first counts, so that these stay in their order.
        if len(process_ids) != 1 or len(by_run) > RUNS or _repeated(endings):
            return list(endings)
        (process_id,) = process_ids
        groups: list[Row] = []
        for run, of_run in by_run.items():
            groups += yield self.sql["leased_alike"](
                ids=self.ids(of_run), process_id=process_id, run=run
            )
        told = [e for e in plain if not _silent(e)]
        keeps = {row[2] for row in groups}
        if sum(row[3] for row in groups) != len(plain) or (told and len(keeps) > 1):
            return list(endings)
        ruled = yield from self.tied(groups, ids)
        if any(is_bundled(column) for _, column in ruled):
            return list(endings)  # others wait for these, or count them
        for queue, kind, keep_result, jobs, *_ in groups:
            if self.kept_until("succeeded", keep_result, now) != now:
                add(deltas, queue, kind, "succeeded", jobs)
        held += [e.lease for e in plain]
        if self.kept["succeeded"] != 0 or keeps != {0}:
            yield from self._silent([e for e in plain if _silent(e)] if told else plain, now)
        yield from self.ended(self._told(told, next(iter(keeps), None), now), ids)
        yield from self.unruled(ruled)
        return [e for e in endings if not _plain(e)]

    def tied(
        self, groups: Sequence[Row], ids: Sequence[str]
    ) -> Steps[Sequence[tuple[str, Column]]]:
        """Those of these jobs whose end others may wait for, and their rules.

        ``groups`` as the query ``leased_alike`` gives them: last, whether some have rules.
        """
        if not any(row[4] for row in groups):
            return []
        rows: list[Row] = yield self.sql["ruled"](ids=self.ids(ids))
        return [(job_id, column) for job_id, column in rows if is_tied(column)]

    def unruled(self, jobs: Sequence[tuple[str, Column]], live: Container[str] = ()) -> Steps[None]:
        """What follows from the ends of these runs; ``live``: jobs that go on."""
        if jobs:
            yield from self.freed(jobs)
            yield from self.let_go([one for one in jobs if one[0] not in live])

    def _silent(self, endings: Sequence[Ending], now: int) -> Steps[None]:
        """Keep successes of which only the results may differ."""
        kept = self.kept["succeeded"]
        by_result: dict[bytes | None, list[str]] = {}
        for ending in endings:
            by_result.setdefault(ending.result, []).append(ending.lease.job_id)
        if len(by_result) <= RUNS:
            for result, ids in by_result.items():
                yield self.sql["end_plain"](ids=self.ids(ids), result=result, now=now, kept=kept)
        else:
            results = [(e.lease.job_id, e.result and e.result.decode()) for e in endings]
            yield self.sql["end_results"](results=self.listed(results), now=now, kept=kept)

    def _told(self, endings: Sequence[Ending], keep_result: int | None, now: int) -> list[Row]:
        """Rows for the query ``end`` of successes that return something, all kept for as long."""
        until = self.kept_until("succeeded", keep_result, now)
        if until == now:
            return []
        return [
            (
                e.lease.job_id,
                "succeeded",
                until,
                now,
                0,
                e.reason,
                e.result_error,
                e.result,
                None,
                0,
            )
            for e in endings
        ]

    def _others(
        self, endings: Sequence[Ending], held: list[Lease], now: int, deltas: Deltas
    ) -> Steps[None]:
        """Whatever else may be: other endings, repetitions, leases that are lost."""
        rows: list[Row] = yield self.sql["leased"](
            ids=self.ids([ending.lease.job_id for ending in endings])
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
                ids=self.ids([lease.job_id for lease in missing])
            )
            known = {Lease(*row) for row in past}
            held += [lease for lease in missing if lease in known]
        yield from work.written()


def _plain(ending: Ending) -> bool:
    """Whether this run just succeeded."""
    return ending.to is _SUCCEEDED and ending.entry is None and not ending.failed


def _silent(ending: Ending) -> bool:
    """Whether there is nothing to tell of it but its result."""
    return ending.result_error is None and ending.reason is None


def _repeated(endings: Sequence[Ending]) -> bool:
    """Whether two of these are on one job."""
    return len({ending.lease.job_id for ending in endings}) < len(endings)


class _Work:
    """The endings of one report, sorted by the statements that write them."""

    def __init__(self, core: Finishing, now: int, deltas: Deltas) -> None:
        self.core = core
        self.now = now
        self.deltas = deltas
        self.kept: list[Row] = []  # ended, and kept
        self.gone: list[str] = []  # all that ended
        self.requeued: list[Row] = []
        self.ruled: list[tuple[str, Column]] = []
        self.ends: list[End] = []

    def add(self, ending: Ending, row: Row) -> None:
        """Sort one ending that holds; ``row`` as the query ``leased`` gives it."""
        _, _, _, _, queue, kind, asked, keep_result, reason, runs, column = row
        rules = rules_of(column)
        if rules is not None:
            self.ruled.append((ending.lease.job_id, column))
        if ending.entry is not None:
            runs = with_run(runs, ending.entry)
        to = ending.to
        why = ending.reason
        if asked and to is JobState.CANCELLED:
            # What the worker says is how it stopped; the person said why.
            why = reason or why
        elif asked and to not in ENDED:
            to = JobState.CANCELLED
            why = reason or why or "cancelled"
        elif to not in ENDED and ending.interrupted and rules is not None and rules.at_most_once:
            to, why = JobState.DEAD, INTERRUPTED
        if to in ENDED:
            if rules is not None:
                self.ends.append(End(ending.lease.job_id, rules, TEXT[to]))
            until = self.core.kept_for(column, TEXT[to], keep_result, self.now)
            self._end(ending, TEXT[to], (queue, kind, until, why, runs))
        else:
            self._requeue(ending, runs)

    def _end(self, ending: Ending, state: str, row: Row) -> None:
        queue, kind, until, why, runs = row
        job_id = ending.lease.job_id
        self.gone.append(job_id)
        if until == self.now:
            return
        add(self.deltas, queue, kind, state, 1)
        told = (why, ending.result_error, ending.result, runs)
        counts = (int(ending.failed), int(ending.interrupted))
        self.kept.append((job_id, state, until, self.now, counts[0], *told, counts[1]))

    def _requeue(self, ending: Ending, runs: bytes | None) -> None:
        again = ending.to is JobState.AVAILABLE
        state = TEXT[ending.to]
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
                int(ending.interrupted),
            )
        )

    def written(self) -> Steps[None]:
        """Write them all."""
        if self.requeued:
            yield self.core.sql["requeue"].many(self.requeued)
        yield from self.core.ended(self.kept, self.gone)
        if self.ruled:
            yield from self.core.unruled(self.ruled, {row[0] for row in self.requeued})
        yield from self.core.followed(self.ends, self.now, self.deltas)
