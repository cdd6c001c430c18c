"""What people ask of a SQLite file and order it to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import json

from longshore.core.model import ENDED, JobRecord, JobState, Progress, Run
from longshore.core.store import (
    Changed,
    Counted,
    Filter,
    Page,
    ProcessRecord,
    QueueRecord,
    SetQueue,
    operation,
)
from longshore.stores.sql.statements import Row, Steps, as_json
from longshore.stores.sqlite.core import TEXT, Core, Deltas, add

#: An ended job is found by an index on its state, queue or kind where fewer than one in this many
#: have it; else reading along the ids comes upon enough of them soon.
FEW = 20

_ENDED = frozenset(TEXT[state] for state in ENDED)
#: The queries that count, and the states that each may find.
_COUNTS: Mapping[str, frozenset[str]] = {
    "count_ended": _ENDED,
    "count_ready": frozenset({"available"}),
    "count_parked": frozenset({"available"}),
    "count_timed": frozenset({"scheduled", "retrying"}),
    "count_running": frozenset({"running"}),
    "count_waiting": frozenset({"waiting"}),
}


class Inspecting(Core):
    """Records, counts, verbs, queues and processes."""

    @operation(writes=False)
    def get(self, ids: Sequence[str]) -> Steps[Mapping[str, JobRecord]]:
        """Records by id; unknown ids are left out."""
        return (yield from self._records(ids))

    @operation(writes=False)
    def find(
        self, where: Filter, *, limit: int, cursor: str | None = None, oldest_first: bool = False
    ) -> Steps[Page]:
        """Records by id, newest created first."""
        order = "oldest" if oldest_first else "newest"
        if cursor is None:
            cursor = "" if oldest_first else "~"  # before and behind every id
        ids: list[str]
        if where.ids:
            given = sorted(set(where.ids), reverse=not oldest_first)
            ids = [id_ for id_ in given if (id_ > cursor if oldest_first else id_ < cursor)]
            found = yield from self._records(ids)
            ids = [id_ for id_ in ids if id_ in found and _fits(found[id_], where)]
        else:
            states = where.states or frozenset(JobState)
            params: dict[str, Any] = {
                "states": _list(sorted(where.states)),
                "queues": _list(where.queues),
                "kinds": _list(where.kinds),
                "cursor": cursor,
                "limit": limit + 1,  # one more tells whether there is another page
            }
            rows: list[Row] = []
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
        found = yield from self._records(page)
        records = tuple(found[id_] for id_ in page)
        return Page(records, page[-1] if page and len(ids) > limit else None)

    @operation(writes=False)
    def count(self, where: Filter) -> Steps[tuple[Counted, ...]]:
        """Exact counts by queue, kind and state."""
        states = {TEXT[state] for state in where.states or JobState}
        params = {"queues": _list(where.queues), "kinds": _list(where.kinds)}
        counts: Counter[tuple[str, str, str]] = Counter()
        for name, seen in _COUNTS.items():
            if states & seen:
                rows: list[Row] = yield self.sql[name](**params)
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
        rows: list[Row] = yield self.sql["standing"](ids=_ids(ids))
        requested = [row[0] for row in rows if row[1] == "running"]
        waiting = [row for row in rows if row[1] != "running"]
        if requested:
            yield self.sql["request_cancel"](ids=as_json(requested), reason=reason)
        deltas: Deltas = {}
        now = self.clock.wall_us()
        yield from self.cancelled(waiting, reason or "cancelled", now, deltas)
        yield from self.counted(deltas)
        return _changed(ids, [row[0] for row in waiting], requested)

    @operation(writes=True)
    def retry(self, ids: Sequence[str]) -> Steps[Changed]:
        """Make ended, retrying and scheduled jobs available now."""
        now = self.clock.wall_us()
        timed: list[Row] = yield self.sql["standing"](ids=_ids(ids))
        timed = [row for row in timed if row[1] in {"scheduled", "retrying"}]
        ended: list[Row] = yield self.sql["standing_ended"](ids=_ids(ids))
        deltas: Deltas = {}
        for _, state, queue, kind, *_ in ended:
            add(deltas, queue, kind, state, -1)
        if timed:
            yield self.sql["hurry"](ids=as_json([row[0] for row in timed]), now=now)
        if ended:
            revived = as_json([row[0] for row in ended])
            yield self.sql["revive"](ids=revived, now=now)
            yield self.sql["remove_ended"](ids=revived)
        yield from self.counted(deltas)
        return _changed(ids, [row[0] for row in (*timed, *ended)])

    @operation(writes=True)
    def delete(self, ids: Sequence[str]) -> Steps[Changed]:
        """Remove jobs that do not run."""
        live: list[Row] = yield self.sql["standing"](ids=_ids(ids))
        live = [row for row in live if row[1] != "running"]
        ended: list[Row] = yield self.sql["standing_ended"](ids=_ids(ids))
        deltas: Deltas = {}
        for _, state, queue, kind, *_ in ended:
            add(deltas, queue, kind, state, -1)
        if live:
            yield self.sql["remove"](ids=as_json([row[0] for row in live]))
        if ended:
            yield self.sql["remove_ended"](ids=as_json([row[0] for row in ended]))
        yield from self.counted(deltas)
        return _changed(ids, [row[0] for row in (*live, *ended)])

    @operation(writes=True)
    def move(self, ids: Sequence[str], queue: str) -> Steps[Changed]:
        """Put jobs that wait into another queue."""
        rows: list[Row] = yield self.sql["standing"](ids=_ids(ids))
        rows = [row for row in rows if row[1] != "running"]
        moved = [row[0] for row in rows]
        if moved:
            yield self.sql["move"](ids=as_json(moved), queue=queue)
        return _changed(ids, moved)

    @operation(writes=True)
    def set_queue(self, request: SetQueue) -> Steps[None]:
        """Pause or resume a queue."""
        if request.paused:
            pause = request.pause_for
            until = None if pause is None else self.clock.wall_us() + pause
            yield self.sql["pause"](name=request.name, reason=request.reason, until=until)
        else:
            yield self.sql["resume"](name=request.name)

    @operation(writes=False)
    def queues(self) -> Steps[tuple[QueueRecord, ...]]:
        """Every queue that holds jobs or is paused."""
        now = self.clock.wall_us()
        counted = yield from self.count(Filter()).start()
        pauses: list[Row] = yield self.sql["pauses"](now=now)
        totals: dict[str, dict[str, int]] = {name: {} for name, _, _ in pauses}
        for one in counted:
            total = totals.setdefault(one.queue, {})
            total[one.state] = total.get(one.state, 0) + one.jobs
        heads: list[Row] = yield self.sql["queue_heads"](queues=as_json(list(totals)))
        first: dict[str, int | None] = dict(heads)
        held = {name: (reason, until) for name, reason, until in pauses}
        records: list[QueueRecord] = []
        for name, total in sorted(totals.items()):
            reason, until = held.get(name, (None, None))
            due = first[name]
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
    def processes(self) -> Steps[tuple[ProcessRecord, ...]]:
        """Every registered process."""
        rows: list[Row] = yield self.sql["processes"]()
        return tuple(self._process(row) for row in rows)

    # --- helpers ---

    def _records(self, ids: Sequence[str]) -> Steps[Mapping[str, JobRecord]]:
        wanted = _ids(ids)
        rows: list[Row] = yield self.sql["get_jobs"](ids=wanted)
        rows += yield self.sql["get_ended"](ids=wanted)
        return {row[0]: _record(row) for row in rows}

    def _fewest(self, where: Filter) -> Steps[str | None]:
        """Which part of a filter leaves so few ended jobs that its index is the way to them."""
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

    def _process(self, row: Row) -> ProcessRecord:
        boot_id, expires_at = row[11], row[12]
        # A lease of an earlier boot has run out, whatever its number says.
        here = boot_id == self.clock.boot_id()
        left = expires_at - self.clock.boot_us() if here else -1
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
            lease_left=left,
            running=row[13],
        )


_TEXTS = json.Decoder(tuple[str, ...])
_META = json.Decoder(dict[str, Any])
_PROGRESS = json.Decoder(Progress)
_RUNS = json.Decoder(tuple[Run, ...])


def _record(row: Row) -> JobRecord:
    """A row of the queries ``get_jobs`` and ``get_ended``: the record's fields in their order."""
    fields: dict[str, Any] = dict(zip(JobRecord.__struct_fields__, row, strict=True))
    fields["state"] = JobState(fields["state"])
    fields["cancel_requested"] = bool(fields["cancel_requested"])
    for name, decoder, empty in _DECODED:
        value = fields[name]
        fields[name] = empty if value is None else decoder.decode(value)
    return JobRecord(**fields)


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
    )


def _ids(ids: Sequence[str]) -> str:
    return as_json(list(dict.fromkeys(ids)))


def _list(values: Sequence[str]) -> str | None:
    return as_json(list(values)) if values else None


def _changed(ids: Sequence[str], changed: Sequence[str], requested: Sequence[str] = ()) -> Changed:
    """The answer of a verb, in the order in which the ids were given."""
    done, asked = frozenset(changed), frozenset(requested)
    given = tuple(dict.fromkeys(ids))
    return Changed(
        changed=tuple(job_id for job_id in given if job_id in done),
        requested=tuple(job_id for job_id in given if job_id in asked),
        skipped=tuple(job_id for job_id in given if job_id not in done and job_id not in asked),
    )
