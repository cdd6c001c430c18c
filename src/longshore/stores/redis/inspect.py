"""What people ask of Redis and order it to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import json, msgpack

from longshore.core.limits import KindRecord, LimitRecord, SetKind, SetLimit, Setting, kind_key
from longshore.core.model import LOG_LINES, JobRecord, JobState, LogLine, Step
from longshore.core.store import (
    Changed,
    Counted,
    Demand,
    Filter,
    NewProcess,
    Page,
    ProcessRecord,
    QueueRecord,
    SetQueue,
    operation,
)
from longshore.stores.redis.producing import Core
from longshore.stores.redis.scripts import SCRIPTS, Steps
from longshore.stores.redis.words import (
    STATES,
    TEXT,
    line_of_log,
    record,
    step_of,
    text,
    word,
)

#: How many jobs one call of `find` looks at: more would hold up everybody else.
BUDGET: Final = 2000

_PROCESS: Final = json.Decoder(NewProcess)
_SETTING: Final = json.Decoder(Setting)


class Inspecting(Core):
    """Records, counts, verbs, queues and processes."""

    @operation(writes=False)
    def get(self, ids: Sequence[str]) -> Steps[Mapping[str, JobRecord]]:
        """Records by id; unknown ids are left out."""
        return (yield from _get(ids))

    @operation(writes=False)
    def find(
        self, where: Filter, *, limit: int, cursor: str | None = None, oldest_first: bool = False
    ) -> Steps[Page]:
        """Records by id, newest created first."""
        found: list[JobRecord] = []
        wanted = limit + 1  # one more tells whether there is another page
        if where.ids:
            there = yield from _get(where.ids)
            for job_id in sorted(there, reverse=not oldest_first):
                ahead = cursor is None or (job_id > cursor if oldest_first else job_id < cursor)
                if ahead and _fits(there[job_id], where):
                    found.append(there[job_id])
        else:
            parts = [
                sorted(TEXT[state] for state in where.states),
                list(map(word, where.queues)),
                list(map(word, where.kinds)),
                list(dict.fromkeys(map(word, where.identities))),
            ]
            at: str | bytes = cursor or ""
            direction = "+" if oldest_first else "-"
            while len(found) < wanted:
                columns, at = yield SCRIPTS["find"](
                    direction, at, wanted - len(found), BUDGET, msgpack.encode(parts)
                )
                found += _records(columns)
                if not at:
                    break
        records = tuple(found[:limit])
        return Page(records, records[-1].id if records and len(found) > limit else None)

    @operation(writes=False)
    def count(self, where: Filter) -> Steps[tuple[Counted, ...]]:
        """Exact counts by queue, kind and state."""
        identities = dict.fromkeys(map(word, where.identities))
        counts: list[Any] = yield SCRIPTS["count"](*identities)
        return tuple(
            one
            for one in sorted(_counted(counts), key=lambda one: (one.queue, one.kind, one.state))
            if (not where.states or one.state in where.states)
            and (not where.queues or one.queue in where.queues)
            and (not where.kinds or one.kind in where.kinds)
        )

    @operation(writes=False)
    def steps(self, ids: Sequence[str]) -> Steps[Mapping[str, tuple[Step, ...]]]:
        """The saved steps of these jobs by name."""
        given = list(dict.fromkeys(ids))
        found: list[list[bytes]] = (yield SCRIPTS["steps"](*given)) if given else []
        return {
            job_id: tuple(
                sorted((step_of(*pair) for pair in _pairs(words)), key=lambda step: step.name)
            )
            for job_id, words in zip(given, found, strict=True)
            if words
        }

    @operation(writes=False)
    def logs(
        self, job_id: str, *, after: int = 0, limit: int = LOG_LINES
    ) -> Steps[tuple[LogLine, ...]]:
        """The first lines of a log behind a number."""
        lines: list[bytes] = yield SCRIPTS["logs"](job_id, after, limit)
        return tuple(map(line_of_log, lines))

    @operation(writes=True)
    def expect(self, ids: Sequence[str], keep: int) -> Steps[frozenset[str]]:
        """Keep live jobs for a while after their end; returns those that are live."""
        live: list[bytes] = yield SCRIPTS["expect"](keep, *dict.fromkeys(ids))
        return frozenset(map(bytes.decode, live))

    @operation(writes=True)
    def cancel(self, ids: Sequence[str], reason: str | None) -> Steps[Changed]:
        """End live jobs; a running one is asked to."""
        given = list(dict.fromkeys(ids))
        changed, requested = yield SCRIPTS["cancel"](int(reason is not None), reason or "", *given)
        return _changed(given, changed, requested)

    @operation(writes=True)
    def retry(self, ids: Sequence[str]) -> Steps[Changed]:
        """Make ended, retrying and scheduled jobs available now."""
        given = list(dict.fromkeys(ids))
        changed, held = yield SCRIPTS["retry"](*given)
        return _changed(given, changed, held=held)

    @operation(writes=True)
    def delete(self, ids: Sequence[str]) -> Steps[Changed]:
        """Remove jobs that do not run."""
        given = list(dict.fromkeys(ids))
        return _changed(given, (yield SCRIPTS["delete"](*given)))

    @operation(writes=True)
    def move(self, ids: Sequence[str], queue: str) -> Steps[Changed]:
        """Put jobs that wait into another queue."""
        given = list(dict.fromkeys(ids))
        return _changed(given, (yield SCRIPTS["move"](word(queue), *given)))

    @operation(writes=True)
    def set_queue(self, request: SetQueue) -> Steps[None]:
        """Pause or resume a queue."""
        pause_for = "-" if request.pause_for is None else request.pause_for
        reason = "" if request.reason is None else f"+{request.reason}"
        yield SCRIPTS["set_queue"](word(request.name), int(request.paused), pause_for, reason)

    @operation(writes=False)
    def queues(self) -> Steps[tuple[QueueRecord, ...]]:
        """Every queue that holds jobs or is paused."""
        time, counts, pauses, first, _ = yield SCRIPTS["queues"]()
        now = int(time)
        totals: dict[str, dict[JobState, int]] = {}
        for one in _counted(counts):
            total = totals.setdefault(one.queue, {})
            total[one.state] = total.get(one.state, 0) + one.jobs
        held = _paused(pauses, now)
        for name in held:
            totals.setdefault(name, {})
        due = {text(name): int(at) for name, at in _pairs(first)}
        return tuple(
            QueueRecord(
                name=name,
                paused=name in held,
                reason=held[name][1] if name in held else None,
                resumes_at=held[name][0] if name in held else None,
                depth=total.get(JobState.AVAILABLE, 0),
                scheduled=total.get(JobState.SCHEDULED, 0) + total.get(JobState.RETRYING, 0),
                running=total.get(JobState.RUNNING, 0),
                latency=max(0, now - due.get(name, now)),
            )
            for name, total in sorted(totals.items())
        )

    @operation(writes=True)
    def set_kind(self, request: SetKind) -> Steps[None]:
        """Pause or resume a kind."""
        pause_for = "-" if request.pause_for is None else request.pause_for
        reason = "" if request.reason is None else f"+{request.reason}"
        yield SCRIPTS["set_kind"](
            word(request.kind), int(request.paused), pause_for, reason, kind_key(request.kind)
        )

    @operation(writes=False)
    def kinds(self) -> Steps[tuple[KindRecord, ...]]:
        """Every paused kind, by name."""
        time, pauses = yield SCRIPTS["kinds"]()
        return tuple(
            KindRecord(kind=kind, reason=reason, resumes_at=end)
            for kind, (end, reason) in sorted(_paused(pauses, int(time)).items())
        )

    @operation(writes=True)
    def set_limit(self, request: SetLimit) -> Steps[None]:
        """What holds for every key of a limit from now on."""
        setting = "" if request.setting is None else json.encode(request.setting)
        yield SCRIPTS["set_limit"](request.name, setting)

    @operation(writes=False)
    def limits(
        self, keys: Sequence[str] | None = None, *, limit: int = 1000
    ) -> Steps[tuple[LimitRecord, ...]]:
        """Limit keys by key, all or those asked for, and names that were only set."""
        settings, rows, only_set = yield SCRIPTS["limits"](
            limit, int(keys is not None), *(keys or ())
        )
        made = {name.decode(): _SETTING.decode(setting) for name, setting in _pairs(settings)}
        records = [_only_set(name, made[name]) for name in sorted(map(bytes.decode, only_set))]
        records += [_limit(row, made) for row in rows]
        return tuple(records[:limit])

    @operation(writes=False)
    def demand(self) -> Steps[Demand]:
        """What wants a worker."""
        time, _, pauses, first, lines = yield SCRIPTS["queues"]()
        names = {text(queue) for queue, _ in _pairs(first)}
        paused = _paused(pauses, int(time))
        parked = Counter[str]()
        for line, jobs in _pairs(lines):
            if jobs:
                parked[text(line.partition(b" ")[0])] += jobs
        return Demand(tuple(sorted(names - paused.keys())), parked)

    @operation(writes=False)
    def processes(self) -> Steps[tuple[ProcessRecord, ...]]:
        """Every registered process."""
        time, rows = yield SCRIPTS["processes"]()
        now = int(time)
        return tuple(_process(row, now) for row in sorted(rows))

    @operation(writes=False)
    def identity(self) -> Steps[str | None]:
        """Which store this is: one that was emptied is another."""
        fields: list[bytes] = yield SCRIPTS["schema"]()
        return dict(zip(fields[::2], fields[1::2], strict=True))[b"epoch"].decode()


def _get(ids: Sequence[str]) -> Steps[dict[str, JobRecord]]:
    given = list(dict.fromkeys(ids))
    if not given:
        return {}
    return {found.id: found for found in _records((yield SCRIPTS["get"](*given)))}


def _records(columns: Any) -> list[JobRecord]:
    # A job that went while pages were read has no line.
    return [record(row) for row in zip(*columns, strict=True) if row[1] is not None]


def _paused(pauses: list[Any], now: int) -> dict[str, tuple[int | None, str | None]]:
    """What is paused now: until when, and why."""
    held: dict[str, tuple[int | None, str | None]] = {}
    for name, pause in _pairs(pauses):
        until, _, reason = pause.partition(b" ")
        end = None if until == b"-" else int(until)
        if end is None or end > now:
            held[text(name)] = (end, reason[1:].decode() if reason else None)
    return held


def _limit(row: Any, settings: Mapping[str, Setting]) -> LimitRecord:
    key, name, to, per, used, blocked, holders, opens_at = row
    name = name.decode()
    return LimitRecord(
        key=key.decode(),
        name=name,
        value=key.decode()[len(name) + 3 :],
        to=int(to),
        per=int(per) if per else None,
        used=int(used),
        blocked=int(blocked),
        holders=tuple(holder.decode() for holder in holders),
        opens_at=int(opens_at) if opens_at else None,
        setting=settings.get(name),
    )


def _only_set(name: str, setting: Setting) -> LimitRecord:
    return LimitRecord(
        key="",
        name=name,
        value="",
        to=setting.to,
        per=setting.per,
        used=0,
        blocked=0,
        holders=(),
        opens_at=None,
        setting=setting,
    )


def _counted(counts: list[Any]) -> list[Counted]:
    answer: list[Counted] = []
    for field, jobs in _pairs(counts):
        queue, kind, state = field.split(b" ")
        answer.append(Counted(text(queue), text(kind), STATES[state], int(jobs)))
    return answer


def _process(row: Any, now: int) -> ProcessRecord:
    told, since, seen, till, running = row
    new = _PROCESS.decode(told)
    return ProcessRecord(
        id=new.id,
        app=new.app,
        name=new.name,
        host=new.host,
        pid=new.pid,
        queues=new.queues,
        kinds=new.kinds,
        slots=new.slots,
        embedded=new.embedded,
        version=new.version,
        started_at=int(since),
        seen_at=int(seen),
        lease_left=int(till) - now,
        running=running,
    )


def _fits(found: JobRecord, where: Filter) -> bool:
    return (
        (not where.states or found.state in where.states)
        and (not where.queues or found.queue in where.queues)
        and (not where.kinds or found.kind in where.kinds)
        and (not where.identities or found.identity in where.identities)
    )


def _pairs(words: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(words[::2], words[1::2], strict=True))


def _changed(
    given: Sequence[str],
    changed: Sequence[bytes],
    requested: Sequence[bytes] = (),
    held: Sequence[bytes] = (),
) -> Changed:
    """The answer of a verb, in the order in which the ids were given."""
    done = frozenset(job_id.decode() for job_id in changed)
    asked = frozenset(job_id.decode() for job_id in requested)
    kept = frozenset(job_id.decode() for job_id in held)
    met = done | asked | kept
    return Changed(
        changed=tuple(job_id for job_id in given if job_id in done),
        requested=tuple(job_id for job_id in given if job_id in asked),
        skipped=tuple(job_id for job_id in given if job_id not in met),
        held=tuple(job_id for job_id in given if job_id in kept),
    )
