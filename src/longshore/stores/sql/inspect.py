"""What people ask of a SQL store and order it to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from msgspec import json

from longshore.core.model import ENDED, JobRecord, JobState, Progress, Run
from longshore.core.store import (
    Changed,
    Counted,
    Demand,
    Filter,
    Page,
    ProcessRecord,
    QueueRecord,
    SetQueue,
    operation,
)
from longshore.stores.sql.core import TEXT, Deltas, add
from longshore.stores.sql.govern import Governing
from longshore.stores.sql.holds import Holding
from longshore.stores.sql.leaving import Leaving
from longshore.stores.sql.notes import Notes
from longshore.stores.sql.statements import Row, Steps
from longshore.stores.sql.walk import rules_of

#: An ended job is found by an index on its state, queue or kind where fewer than one in this many
#: have it; else reading along the ids comes upon enough of them soon.
FEW = 20

ENDED_TEXT = frozenset(TEXT[state] for state in ENDED)


class Inspecting(Notes, Governing, Holding, Leaving):
    """Records, counts, verbs, queues and processes."""

    #: Whether a page of all jobs is one statement, which saves several round trips.
    pages: ClassVar[bool] = False
    #: What sorts before every id and behind every id.
    ends: ClassVar[tuple[str, str]] = ("", "~")
    #: The queries that count, and the states that each may find.
    counts: ClassVar[Mapping[str, frozenset[str]]] = {
        "count_ended": ENDED_TEXT,
        "count_ready": frozenset({"available"}),
        "count_blocked": frozenset({"available"}),
        "count_parked": frozenset({"available"}),
        "count_timed": frozenset({"scheduled", "retrying"}),
        "count_running": frozenset({"running"}),
        "count_waiting": frozenset({"waiting"}),
    }

    @operation(writes=False)
    def get(self, ids: Sequence[str]) -> Steps[Mapping[str, JobRecord]]:
        """Records by id; unknown ids are left out."""
        return (yield from self.records(ids))

    @operation(writes=False)
    def find(
        self, where: Filter, *, limit: int, cursor: str | None = None, oldest_first: bool = False
    ) -> Steps[Page]:
        """Records by id, newest created first."""
        order = "oldest" if oldest_first else "newest"
        rows: list[Row]
        if cursor is None:
            cursor = self.ends[0 if oldest_first else 1]
        ids: list[str]
        if self.pages and where == Filter():
            rows = yield self.sql[f"page_{order}"].alone(cursor=cursor, limit=limit + 1)
            all_ = tuple(self.record(row) for row in rows[:limit])
            return Page(all_, all_[-1].id if len(rows) > limit else None)
        if where.ids:
            given = sorted(set(where.ids), reverse=not oldest_first)
            ids = [id_ for id_ in given if (id_ > cursor if oldest_first else id_ < cursor)]
            found = yield from self.records(ids)
            ids = [id_ for id_ in ids if id_ in found and _fits(found[id_], where)]
        else:
            states: frozenset[JobState] = where.states or frozenset(JobState)
            params: dict[str, Any] = {
                "states": self._list(sorted(where.states)),
                "queues": self._list(where.queues),
                "kinds": self._list(where.kinds),
                "cursor": cursor,
                "limit": limit + 1,  # one more tells whether there is another page
            }
            rows = []
            if where.identities:
                rows = yield from self.identified(where.identities, order, params)
                states = frozenset[JobState]()
            if states - ENDED:
                rows += yield self.sql[f"find_job_{order}"](**params)
            if states & ENDED:
                by = yield from self._fewest(where)
                if by is None:
                    rows += yield self.sql[f"find_ended_{order}"](**params)
                else:
                    rows += yield self.sql[f"find_few_{order}"](by=by, **params)
            ids = sorted((id_ for (id_,) in rows), reverse=not oldest_first)
        page = ids[:limit]
        found = yield from self.records(page)
        records = tuple(found[id_] for id_ in page)
        return Page(records, page[-1] if page and len(ids) > limit else None)

    @operation(writes=False)
    def count(self, where: Filter) -> Steps[tuple[Counted, ...]]:
        """Exact counts by queue, kind and state."""
        states = {TEXT[state] for state in where.states or JobState}
        params = {"queues": self._list(where.queues), "kinds": self._list(where.kinds)}
        counts: Counter[tuple[str, str, str]] = Counter()
        rows: list[Row] = []
        if where.identities:
            rows = yield from self.count_identified(where.identities, params)
        else:
            for name, seen in self.counts.items():
                if states & seen:
                    rows += yield self.sql[name](**params)
        for queue, kind, state, jobs in rows:
            counts[queue, kind, state] += jobs
        return tuple(
            Counted(queue, kind, JobState(state), jobs)
            for (queue, kind, state), jobs in sorted(counts.items())
            if state in states
        )

    @operation(writes=True)
    def cancel(self, ids: Sequence[str], reason: str | None) -> Steps[Changed]:
        """End live jobs; a running one is asked to."""
        rows: list[Row] = yield self.sql["standing"](ids=self.ids(list(dict.fromkeys(ids))))
        requested = [row[0] for row in rows if row[1] == "running"]
        waiting = [row for row in rows if row[1] != "running"]
        if requested:
            yield self.sql["request_cancel"](ids=self.ids(requested), reason=reason)
        deltas: Deltas = {}
        now = yield from self.time()
        yield from self.cancelled(waiting, reason or "cancelled", now, deltas)
        yield from self.counted(deltas)
        if self.tells and waiting:
            yield from self.told()
        return _changed(ids, [row[0] for row in waiting], requested)

    @operation(writes=True)
    def retry(self, ids: Sequence[str]) -> Steps[Changed]:
        """Make ended, retrying and scheduled jobs available now."""
        now = yield from self.time()
        given = list(dict.fromkeys(ids))
        timed: list[Row] = yield self.sql["standing"](ids=self.ids(given))
        timed = [row for row in timed if row[1] in {"scheduled", "retrying"}]
        ended: list[Row] = yield self.sql["standing_ended"](ids=self.ids(given))
        if timed:
            yield self.sql["hurry"](ids=self.ids([row[0] for row in timed]), now=now)
        held: list[str] = []
        again: list[Row] = []
        if ended:
            ended, held = yield from self.revived(ended, given, now)
            again = ended
        deltas: Deltas = {}
        for _, state, queue, kind, *_ in ended:
            add(deltas, queue, kind, state, -1)
        if ended:
            yield self.sql["remove_ended"](ids=self.ids([row[0] for row in ended]))
        yield from self.reopened(again, now)
        yield from self.counted(deltas)
        if self.tells and (timed or ended):
            yield from self.told()
        return _changed(ids, [row[0] for row in (*timed, *ended)], held=held)

    def revived(
        self, ended: list[Row], given: list[str], now: int
    ) -> Steps[tuple[list[Row], list[str]]]:
        """Let ended jobs live again; returns those that do, and those whose key is another's."""
        plain = [row[0] for row in ended if row[4] is None]
        if plain:
            yield self.sql["revive"](ids=self.ids(plain), now=now)
        ruled = [row for row in ended if row[4] is not None]
        if not ruled:
            return ended, []
        # Of two that want one key the first that was named has it.
        order = {job_id: number for number, job_id in enumerate(given)}
        held = yield from self.retaken(sorted(ruled, key=lambda row: order[row[0]]), now)
        return [row for row in ended if row[0] not in held], held

    @operation(writes=True)
    def delete(self, ids: Sequence[str]) -> Steps[Changed]:
        """Remove jobs that do not run."""
        live: list[Row] = yield self.sql["standing"](ids=self.ids(list(dict.fromkeys(ids))))
        live = [row for row in live if row[1] != "running"]
        ended: list[Row] = yield self.sql["standing_ended"](ids=self.ids(list(dict.fromkeys(ids))))
        both = [*((row[0], row[6]) for row in live), *((row[0], row[4]) for row in ended)]
        bound = yield from self.unfinished(both)
        live = [row for row in live if row[0] not in bound]
        ended = [row for row in ended if row[0] not in bound]
        deltas: Deltas = {}
        for _, state, queue, kind, *_ in ended:
            add(deltas, queue, kind, state, -1)
        if live:
            yield self.sql["remove"](ids=self.ids([row[0] for row in live]))
            yield from self.removed(live)
        if ended:
            yield self.sql["remove_ended"](ids=self.ids([row[0] for row in ended]))
        gone = [row[0] for row in (*live, *ended)]
        yield from self.notes_forgotten(gone)
        yield from self.counted(deltas)
        return _changed(ids, gone)

    @operation(writes=True)
    def move(self, ids: Sequence[str], queue: str) -> Steps[Changed]:
        """Put jobs that wait into another queue."""
        rows: list[Row] = yield self.sql["standing"](ids=self.ids(list(dict.fromkeys(ids))))
        rows = [row for row in rows if row[1] != "running"]
        moved = [row[0] for row in rows]
        if moved:
            yield self.sql["move"](ids=self.ids(moved), queue=queue)
            yield from self.left(rows)
            if self.tells:
                yield from self.told()
        return _changed(ids, moved)

    @operation(writes=True)
    def set_queue(self, request: SetQueue) -> Steps[None]:
        """Pause or resume a queue."""
        if request.paused:
            now = yield from self.time()
            until = None if request.pause_for is None else now + request.pause_for
            yield self.sql["pause"](name=request.name, reason=request.reason, until=until)
        else:
            yield self.sql["resume"](name=request.name)
            if self.tells:
                yield from self.told()

    @operation(writes=False)
    def queues(self) -> Steps[tuple[QueueRecord, ...]]:
        """Every queue that holds jobs or is paused."""
        now = yield from self.time()
        counted = yield from self.count(Filter()).start()
        pauses: list[Row] = yield self.sql["pauses"](now=now)
        totals: dict[str, dict[str, int]] = {name: {} for name, _, _ in pauses}
        for one in counted:
            total = totals.setdefault(one.queue, {})
            total[one.state] = total.get(one.state, 0) + one.jobs
        heads: list[Row] = yield self.sql["queue_heads"](queues=self.listed(list(totals)))
        first: dict[str, int | None] = dict(heads)
        held = {name: (reason, until) for name, reason, until in pauses}
        records: list[QueueRecord] = []
        for name, total in sorted(totals.items()):
            reason, until = held.get(name, (None, None))
            due = first.get(name)
            records.append(
                QueueRecord(
                    name=name,
                    paused=name in held,
                    reason=reason,
                    resumes_at=until,
                    depth=total.get("available", 0),
                    scheduled=total.get("scheduled", 0) + total.get("retrying", 0),
                    running=total.get("running", 0),
                    latency=0 if due is None else max(0, now - due),
                )
            )
        return tuple(records)

    @operation(writes=False)
    def demand(self) -> Steps[Demand]:
        """What wants a worker."""
        now = yield from self.time()
        restraints = yield from self.restrained(now)
        rows: list[Row] = yield self.sql["ready_queues"]()
        names = {name for (name,) in rows}
        # Where values take turns, the first of a queue says whether there is any.
        turning = sorted(restraints.fair - names)
        if turning:
            heads: list[Row] = yield self.sql["queue_heads"](queues=self.listed(turning))
            names.update(name for name, due in heads if due is not None)
        # They wait for a limit now, and for a worker when it lets them.
        blocked: list[Row] = yield self.sql["queues_blocked"]()
        names.update(name for (name,) in blocked)
        parked: list[Row] = yield self.sql["parked_jobs"]()
        return Demand(tuple(sorted(names - restraints.queues)), dict(parked))

    @operation(writes=False)
    def processes(self) -> Steps[tuple[ProcessRecord, ...]]:
        """Every registered process."""
        now = yield from self.time()
        rows: list[Row] = yield self.sql["processes"](**self.lease_time(now))
        return tuple(_process(row) for row in rows)

    # --- helpers ---

    def records(self, ids: Sequence[str]) -> Steps[Mapping[str, JobRecord]]:
        wanted = self.ids(list(dict.fromkeys(ids)))
        rows: list[Row] = yield self.sql["get_jobs"](ids=wanted)
        rows += yield self.sql["get_ended"](ids=wanted)
        return {row[0]: self.record(row) for row in rows}

    def identified(
        self, identities: Sequence[str], order: str, params: Mapping[str, Any]
    ) -> Steps[list[Row]]:
        """Ids of live and ended jobs with these identities; ``params`` as for ``find_job_...``."""
        rows: list[Row] = yield self.sql[f"find_identity_{order}"](
            identities=self._list(identities), **params
        )
        return rows

    def count_identified(
        self, identities: Sequence[str], params: Mapping[str, Any]
    ) -> Steps[list[Row]]:
        """How many jobs with these identities there are, as the queries ``count_...`` say it."""
        rows: list[Row] = yield self.sql["count_identity"](
            identities=self._list(identities), **params
        )
        return rows

    def _fewest(self, where: Filter) -> Steps[str | None]:
        """Which part of a filter leaves so few ended jobs that its index is the way to them."""
        if not (where.queues or where.kinds or where.states):
            return None
        rows: list[Row] = yield self.sql["count_ended"](queues=None, kinds=None)
        total = sum(row[3] for row in rows)
        states = frozenset(TEXT[state] for state in where.states)
        found: dict[str, int] = {}
        if where.queues:
            found["queue"] = sum(row[3] for row in rows if row[0] in where.queues)
        if where.kinds:
            found["kind"] = sum(row[3] for row in rows if row[1] in where.kinds)
        if states and "succeeded" not in states:
            found["state"] = sum(row[3] for row in rows if row[2] in states)
        by = min(found, key=lambda name: found[name], default=None)
        return by if by is not None and found[by] * FEW < total else None

    def record(self, row: Row) -> JobRecord:
        """A row of the queries ``get_jobs`` and ``get_ended``: the record's fields in order."""
        fields: dict[str, Any] = dict(zip(JobRecord.__struct_fields__, row, strict=True))
        fields["state"] = JobState(fields["state"])
        fields["cancel_requested"] = bool(fields["cancel_requested"])
        for name, decoder, empty in _DECODED:
            value = fields[name]
            fields[name] = empty if value is None else decoder.decode(value)
        fields["rules"] = rules_of(fields["rules"])
        return JobRecord(**fields)

    def _list(self, values: Sequence[str]) -> Any:
        return self.listed(list(values)) if values else None


def _process(row: Row) -> ProcessRecord:
    return ProcessRecord(
        id=row[0],
        app=row[1],
        name=row[2],
        host=row[3],
        pid=row[4],
        queues=_TEXTS.decode(row[5]),
        kinds=_TEXTS.decode(row[6]),
        slots=row[7],
        embedded=bool(row[8]),
        started_at=row[9],
        seen_at=row[10],
        lease_left=row[11],
        running=row[12],
        version=row[13],
    )


_TEXTS = json.Decoder(tuple[str, ...])
_META = json.Decoder(dict[str, Any])
_PROGRESS = json.Decoder(Progress)
_RUNS = json.Decoder(tuple[Run, ...])


_DECODED: tuple[tuple[str, json.Decoder[Any], Any], ...] = (
    ("progress", _PROGRESS, None),
    ("tags", _TEXTS, ()),
    ("meta", _META, {}),
    ("runs", _RUNS, ()),
)


def _fits(record: JobRecord, where: Filter) -> bool:
    return (
        (not where.states or record.state in where.states)
        and (not where.queues or record.queue in where.queues)
        and (not where.kinds or record.kind in where.kinds)
        and (not where.identities or record.identity in where.identities)
    )


def _changed(
    ids: Sequence[str],
    changed: Sequence[str],
    requested: Sequence[str] = (),
    held: Sequence[str] = (),
) -> Changed:
    """The answer of a verb, in the order in which the ids were given."""
    done, asked, kept = frozenset(changed), frozenset(requested), frozenset(held)
    given = tuple(dict.fromkeys(ids))
    touched = done | asked | kept
    return Changed(
        changed=tuple(job_id for job_id in given if job_id in done),
        requested=tuple(job_id for job_id in given if job_id in asked),
        skipped=tuple(job_id for job_id in given if job_id not in touched),
        held=tuple(job_id for job_id in given if job_id in kept),
    )
