"""What a PostgreSQL store does in its own way beside claims and reports: bulk, looking, pruning."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, ClassVar, Final

from msgspec import json

from longshore.core.batches import Together
from longshore.core.limits import OnConflict
from longshore.core.model import LIVE, Inserted, JobRecord, NewJob
from longshore.core.store import operation
from longshore.stores.postgres.claim import PostgresClaiming
from longshore.stores.postgres.core import DAY, Alone, Copy, Refused, literal
from longshore.stores.postgres.gates import PostgresGating
from longshore.stores.sql.core import TEXT
from longshore.stores.sql.holds import hold_of, ruled_columns
from longshore.stores.sql.inspect import ENDED_TEXT, Inspecting
from longshore.stores.sql.operations import Consuming, Maintaining, Producing
from longshore.stores.sql.statements import REPEATED, Row, Statement, Steps, as_json

#: So many jobs and more are sent as a stream of rows.
BULK: Final = 200

#: Partitions are made for so many days ahead.
AHEAD: Final = 3
#: A day with more ended jobs than this is not pruned job by job: it goes all at once, at most a day
#: later than its last job could.
BIG_DAY: Final = 20_000

#: A lock that could not be had at once: somebody reads the whole history just now.
_LATER: Final = frozenset({"55P03", "40P01"})

_LIVE_TEXT = frozenset(TEXT[state] for state in LIVE)


class PostgresProducing(PostgresGating, Producing):
    """Storing jobs."""

    @operation(writes=True)
    def insert(
        self, jobs: Sequence[NewJob], together: Together | None = None
    ) -> Steps[Sequence[Inserted]]:
        """Store jobs, all or none."""
        if together is not None:
            return (yield from self.stored_together(jobs, together))
        if not jobs:
            return []
        again: bool = yield REPEATED
        if self.quick and not again and len(jobs) < BULK and all(job.fresh for job in jobs):
            answers = yield from self._stored_at_once(jobs)
            if answers is not None:
                return answers
        return (yield from self.stored(jobs, again=again))

    def _stored_at_once(self, jobs: Sequence[NewJob]) -> Steps[Sequence[Inserted] | None]:
        """All in one statement, if that can be."""
        ruled = any(map(_ruled, jobs))
        if ruled and len(jobs) > 1 and any(map(_unique, jobs)):
            return None  # a key that is held is nothing that a server should call an error
        try:
            rows: list[Row] = yield self._insertion(jobs, alone=True, ruled=ruled)
        except Refused:
            return None
        if rows[0][0] == len(jobs):
            return [Inserted(job.id) for job in jobs]
        hold = hold_of(jobs[0])
        if hold is None or rows[0][2] is None or hold.on_conflict is OnConflict.REPLACE:
            return None
        refused = hold.on_conflict is OnConflict.RAISE
        return [Inserted(rows[0][2], duplicate=not refused, conflict=refused, held=True)]

    def inserted(self, jobs: Sequence[NewJob], now: int) -> Steps[int]:
        """Write jobs, unless they wait or run already, or their keys are held; how many."""
        if not jobs:
            return 0
        rows: list[Row]
        ruled = any(map(_ruled, jobs))
        if len(jobs) < BULK or not self.quick:
            rows = yield self._insertion(jobs, alone=False, ruled=ruled)
            written: int = rows[0][0]
            return written
        try:
            if ruled:
                yield Copy(self.sql["copy_ruled"], [_ruled_row(job, now) for job in _by_key(jobs)])
            else:
                yield Copy(self.sql["copy"], [_row(job) for job in jobs])
        except Exception as error:
            if getattr(error, "sqlstate", None) == "23505":
                return 0  # one of them was there, so that nothing was written
            raise
        yield from self.told()
        return len(jobs)

    def _insertion(self, jobs: Sequence[NewJob], *, alone: bool, ruled: bool) -> Statement:
        kind = Alone if alone else Statement
        params = self.listened(tell=self.hint())
        if ruled:
            columns = zip(*(_ruled_row(job, 0) for job in _by_key(jobs)), strict=True)
            params.update(zip(_RULED_COLUMNS, map(list, columns), strict=True))
            params.update(now=self.given_now(), count=len(jobs), strict=alone and len(jobs) > 1)
            return kind(self.sql["insert_ruled"], params)
        if len(jobs) == 1:
            params.update(zip(_COLUMNS, _row(jobs[0]), strict=True))
            return kind(self.sql["insert_one"], params)
        columns = zip(*map(_row, jobs), strict=True)
        params.update(zip(_COLUMNS, map(list, columns), strict=True))
        params.update(count=len(jobs), strict=alone)
        return kind(self.sql["insert"], params)


_COLUMNS = tuple(f"c{number}" for number in range(14))
_RULED_COLUMNS = tuple(f"c{number}" for number in range(19))


def _row(job: NewJob) -> Row:
    return (
        job.id,
        TEXT[job.state],
        job.queue,
        job.priority,
        job.scheduled_at,
        job.max_attempts,
        job.created_at,
        job.keep_result,
        job.kind,
        job.payload.decode(),
        job.expires_at,
        job.timeout,
        as_json(job.tags) if job.tags else None,
        json.encode(job.meta).decode() if job.meta else None,
    )


def _ruled_row(job: NewJob, now: int) -> Row:
    """With what restrains it; when a hold is over, or from 0 for how long it lasts."""
    identity, unique_key, held_until, fair_key, rules = ruled_columns(job, now)
    text = None if rules is None else rules.decode()
    return (*_row(job), identity, unique_key, held_until, fair_key, text)


def _ruled(job: NewJob) -> bool:
    return job.rules is not None or job.identity is not None


def _unique(job: NewJob) -> bool:
    return hold_of(job) is not None


def _by_key(jobs: Sequence[NewJob]) -> Sequence[NewJob]:
    """In one order for all: two that store the same keys at once wait, but not for each other."""

    def key(job: NewJob) -> str:
        hold = hold_of(job)
        return "" if hold is None else hold.key

    return sorted(jobs, key=key) if any(map(_unique, jobs)) else jobs


class PostgresConsuming(PostgresClaiming, Consuming):
    """Claims, endings and leases."""


class PostgresInspecting(PostgresGating, Inspecting):
    """Records, counts, verbs, queues and processes."""

    pages: ClassVar[bool] = True
    ends: ClassVar[tuple[str, str]] = (
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    )
    counts: ClassVar[Mapping[str, frozenset[str]]] = {
        "count_ended": ENDED_TEXT,
        "count_live": _LIVE_TEXT,
    }

    def records(self, ids: Sequence[str]) -> Steps[Mapping[str, JobRecord]]:
        """Live and ended jobs in one statement."""
        wanted = self.ids(list(dict.fromkeys(ids)))
        one = len(wanted) == 1
        rows: list[Row] = yield (
            Alone(self.sql["get_one"], {"id": wanted[0]})
            if one
            else Alone(self.sql["get"], {"ids": wanted})
        )
        return {row[0]: self.record(row) for row in rows}

    def record(self, row: Row) -> JobRecord:
        """A row of the query ``get``: the record's fields in order, JSON as text."""
        values = list(row)
        for place in _BYTES:
            value = values[place]
            values[place] = None if value is None else value.encode()
        return super().record(tuple(values))


_BYTES = tuple(JobRecord.__struct_fields__.index(name) for name in ("payload", "result"))


class PostgresMaintaining(PostgresGating, Maintaining):
    """Pruning by whole days, and what the days need."""

    @operation(writes=True)
    def prune(self, limit: int) -> Steps[int]:
        """Drop days that are past their retention, delete other such jobs, the oldest first."""
        now = yield from self.time()
        rows: list[Row] = yield self.sql["days"]()
        days: dict[int, int] = dict(rows)
        removed, may = yield from self._kept_up(days, now)
        yield from self.put_off(now, limit)
        rows = yield self.sql["prune_rest"](now=now, limit=limit)
        gone: int = rows[0][0]
        small = [day for day, jobs in days.items() if jobs > 0 and (jobs <= BIG_DAY or not may)]
        if small and gone < limit:
            rows = yield self.sql["prune_days"](days=small, now=now, limit=limit - gone)
            gone += rows[0][0]
        yield self.sql["fold"]()
        if (yield self.sql["starts_gone"](now=now)):
            yield self.sql["starts_forget"](now=now)
        yield from self.notes_swept()
        yield from self.pruned_bundles(now, limit)
        return removed + gone

    def _kept_up(self, days: dict[int, int], now: int) -> Steps[tuple[int, bool]]:
        """Make the days to come and drop those that are over.

        The answer: how many jobs went with them, and whether days are dropped at all.
        """
        today = now // DAY
        missing = [day for day in range(today, today + AHEAD) if day not in days]
        # Jobs of a day end until the next has passed, and are kept for a day at least.
        over = [day for day in days if day < today - 2]
        if not (missing or over):
            return 0, True
        rows: list[Row] = yield self.sql["may_partition"]()
        if not rows[0][0]:
            return 0, False  # without the right to: such jobs are deleted one by one
        for day in missing:
            yield from self._carefully([literal(self.sql[n], day=day)() for n in _MAKE_DAY])
        removed = 0
        for day in over:
            rows = yield self.sql["day_kept"](day=day, now=now)
            if not rows[0][0] and (
                yield from self._carefully([literal(self.sql[n], day=day)() for n in _DROP_DAY])
            ):
                yield self.sql["forget_day"](day=day)
                removed += days.pop(day)
        return removed, True

    def _carefully(self, statements: Sequence[Any]) -> Generator[Any, Any, bool]:
        """Change tables, unless somebody holds them: then it is left for the next time."""
        yield self.sql["savepoint"]()
        try:
            for statement in statements:
                _: Any = yield statement
        except Exception as error:
            if getattr(error, "sqlstate", None) not in _LATER:
                raise
            yield self.sql["savepoint_undo"]()
            return False
        yield self.sql["savepoint_release"]()
        return True


_MAKE_DAY = ("patience", "make_day", "make_day_index", "attach_day")
_DROP_DAY = ("patience", "drop_day")
