"""How reports on runs are taken together with a claim: most need no look at their jobs.

A process reports on jobs that it has claimed over this very store, which remembers what the counts
need of them; none of it can change while a job runs. So successes are written at once, and the
removal tells by its number whether every lease held. If not, nothing was written and all are looked
at one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from longshore.core.model import Claimed, Ending, JobState, Lease
from longshore.core.store import Beat, ClaimRequest, Exchanged, Retention, operation
from longshore.stores.clock import Clock
from longshore.stores.mysql.claim import MySQLClaiming
from longshore.stores.mysql.text import RowsQuery
from longshore.stores.sql.core import Deltas, add
from longshore.stores.sql.finish import RUNS
from longshore.stores.sql.statements import UNDO, Row, Steps
from longshore.stores.sql.walk import READ, Column, limits_of, rules_of

#: How many claimed jobs are remembered: many more than a process has at a time.
REMEMBERED = 20_000


class Known(NamedTuple):
    """What the report of a success needs of a job; not its arguments, which may be large."""

    id: str
    queue: str
    kind: str
    keep_result: int | None
    rules: Column


class MySQLConsuming(MySQLClaiming):
    """Claims, endings and leases."""

    def __init__(self, retention: Retention, clock: Clock | None, prefix: str) -> None:
        super().__init__(retention, clock, prefix)
        self._claimed: dict[tuple[str, int], Known] = {}

    def renewed_ahead(self, beat: Beat) -> Steps[bool]:
        """Renew leases in a statement that is committed by itself.

        The rest of a beat is eight further round trips. Where each takes 200 ms, a lease of three
        seconds would run out before they are committed; and whatever becomes of them, it is right
        that a process which asked for its leases has them.
        """
        if beat.lease is None or not beat.processes:
            return False
        yield self.sql["renew_ahead"].alone(
            ids=self.listed([child.id for child in beat.processes]),
            lease=beat.lease,
            now=None if self.clock is None else self.clock.wall_us(),
        )
        return True

    @operation(writes=True)
    def exchange(self, endings: Sequence[Ending], request: ClaimRequest) -> Steps[Exchanged]:
        """Finish, then claim, in one commit."""
        deltas: Deltas = {}
        # The process before its jobs: the order in which everybody holds things.
        look = yield from self.looked(request)
        held: frozenset[Lease] | None = None
        jobs = self._alike(endings)
        if jobs:
            held = yield from self._succeeded(endings, jobs, look.now, deltas)
            if held is None:
                yield UNDO
                deltas.clear()
                look = yield from self.looked(request)
        reported = held is None and bool(endings)
        waited = False
        if held is None:
            held = yield from self.finished(endings, look.now, deltas)
        else:
            slots = _slots(jobs)
            waited = bool(slots)
            reported = waited and (yield from self._given_up(slots))
        again = [ending.at for ending in endings if ending.at is not None]
        due = min(again if look.due is None else [look.due, *again], default=None)
        claim = yield from self.given(request, look, due, deltas, reported=reported, waited=waited)
        yield from self.counted(deltas)
        return Exchanged(held, claim)

    def claims(self, rows: list[Row]) -> tuple[Claimed, ...]:
        """What rows of a claim say, remembered for the reports on them."""
        return self._remembered(rows, super().claims(rows))

    def walked_claims(self, rows: list[Row]) -> tuple[Claimed, ...]:
        """The same, of rows of a claim that walked."""
        return self._remembered(rows, super().walked_claims(rows))

    # --- helpers ---

    def _remembered(self, rows: list[Row], jobs: tuple[Claimed, ...]) -> tuple[Claimed, ...]:
        if len(self._claimed) > REMEMBERED:
            self._claimed.clear()
        self._claimed.update(
            ((job.id, job.run), Known(job.id, job.queue, job.kind, job.keep_result, row[-1]))
            for row, job in zip(rows, jobs, strict=True)
            if row[-1] is None or _only_limited(row[-1])
        )
        return jobs

    def finished(
        self, endings: Sequence[Ending], now: int, deltas: Deltas
    ) -> Steps[frozenset[Lease]]:
        """End runs one by one; nothing need be remembered of them."""
        self._forgotten(endings)
        return (yield from super().finished(endings, now, deltas))

    def _forgotten(self, endings: Sequence[Ending]) -> list[Known | None]:
        """What was remembered of these, and is no more."""
        return [
            self._claimed.pop((ending.lease.job_id, ending.lease.run), None) for ending in endings
        ]

    def _alike(self, endings: Sequence[Ending]) -> list[Known]:
        """What is remembered of jobs that all just succeeded in the same run of one process."""
        jobs = self._forgotten(endings)
        alike = len({(ending.lease.process_id, ending.lease.run) for ending in endings}) == 1
        if not (alike and all(map(_plain, endings))):
            return []
        known = [job for job in jobs if job is not None]
        # A job that is reported on twice is there only once.
        return known if len(known) == len(endings) else []

    def _succeeded(
        self,
        endings: Sequence[Ending],
        jobs: list[Known],
        now: int,
        deltas: Deltas,
    ) -> Steps[frozenset[Lease] | None]:
        """Write that jobs have succeeded; ``None`` if not every lease held: undo it then."""
        for job in jobs:
            if self.kept_until("succeeded", job.keep_result, now) != now:
                add(deltas, job.queue, job.kind, "succeeded", 1)
        # How long a job is kept may have changed meanwhile, because somebody waits for it.
        kept = sum(deltas.values())
        if kept and (yield from self._kept(endings, now)) != kept:
            return None
        lease = endings[0].lease
        removed: int = yield self.sql["remove_alike" if kept else "remove_unkept"](
            ids=self.ids([job.id for job in jobs]), process_id=lease.process_id, run=lease.run
        )
        if removed < len(jobs):
            return None
        return frozenset(ending.lease for ending in endings)

    def _given_up(self, slots: Sequence[tuple[str, str]]) -> Steps[bool]:
        """Give slots back, whose jobs are gone; whether jobs that waited for them may go on."""
        keys = Counter(key for key, _ in slots)
        yield from self.locked(sorted(keys))
        yield self.sql["slot_remove"].many(slots)
        return bool((yield from self.admitted(keys)))

    def _silent(self, endings: Sequence[Ending], now: int) -> Steps[None]:
        yield from self._kept(endings, now)

    def _kept(self, endings: Sequence[Ending], now: int) -> Steps[int]:
        """Copy those that are kept; how many."""
        kept = self.kept["succeeded"]
        written = 0
        by_result: dict[bytes | None, list[str]] = {}
        for ending in endings:
            by_result.setdefault(ending.result, []).append(ending.lease.job_id)
        if len(by_result) <= RUNS:
            for result, ids in by_result.items():
                written += yield self.sql["end_plain"](
                    ids=self.ids(ids), result=result, now=now, kept=kept
                )
        else:
            results = [(ending.lease.job_id, ending.result) for ending in endings]
            query = self.sql["end_results"]
            assert isinstance(query, RowsQuery)  # noqa: S101
            written = yield query.many(results, now=now, kept=kept)
        return written


@lru_cache(READ)
def _only_limited(column: Column) -> bool:
    """Whether nothing but its slots is left to give back when a job with these rules has gone."""
    rules = rules_of(column)
    return rules is None or (rules.hold is None and not rules.bundles)


def _slots(jobs: Sequence[Known]) -> list[tuple[str, str]]:
    """The slots of jobs: key and job."""
    return [
        (key, job.id)
        for job in jobs
        if job.rules is not None
        for key, limit in limits_of(job.rules).items()
        if limit.per is None
    ]


def _plain(ending: Ending) -> bool:
    """Whether this run just succeeded, and there is nothing to tell of it but its result."""
    return (
        ending.to is JobState.SUCCEEDED
        and ending.entry is None
        and not ending.failed
        and ending.result_error is None
        and ending.reason is None
    )
