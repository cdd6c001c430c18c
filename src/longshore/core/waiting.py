"""Why a job does not run now, in one word, in one sentence, and by its facts.

Made from what any store tells of the job, its queue, paused kinds, limits and processes; so the
words are the same wherever jobs live. Nothing is asked here: see ``JobHandle.why_waiting``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from longshore.core.durations import describe
from longshore.core.limits import KindRecord, Limit, LimitRecord, effective
from longshore.core.lines import read_lines, serves
from longshore.core.model import ENDED, JobRecord, JobState
from longshore.core.store import ProcessRecord, QueueRecord
from longshore.errors import LongshoreError

_NAMED: Final = 3  # so many of a list are named in a sentence


class Reason(StrEnum):
    """The word for what a job waits for."""

    ENDED = "ended"
    RUNNING = "running"
    DEPENDENCIES = "dependencies"
    NOT_DUE = "not due"
    PARKED = "parked"
    EXPIRED = "expired"
    PAUSED_QUEUE = "paused queue"
    PAUSED_KIND = "paused kind"
    LIMITED = "limited"
    RATE = "rate"
    NO_WORKER = "no worker"
    BUSY = "busy"
    NEXT = "next"


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job does not run now; as text it is the sentence.

    ``key`` is the limit that is full, with ``used`` of ``of`` and, for a concurrency, some of the
    jobs it is ``held_by``, which is also the dependency that a job waits for; ``opens_at``,
    ``resumes_at`` and ``due_at`` are microseconds since 1970 UTC; ``workers`` are the live
    processes that serve its queue and know its kind.
    """

    reason: Reason
    text: str
    key: str | None = None
    used: int | None = None
    of: int | None = None
    held_by: tuple[str, ...] = ()
    opens_at: int | None = None
    resumes_at: int | None = None
    due_at: int | None = None
    workers: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a store tells around one job; ``now`` in microseconds."""

    job: JobRecord
    now: int
    queues: Sequence[QueueRecord] = ()
    kinds: Sequence[KindRecord] = ()
    limits: Sequence[LimitRecord] = ()
    processes: Sequence[ProcessRecord] = ()
    cause: JobRecord | None = None  # the first dependency that a waiting job waits for


def asks_store(job: JobRecord, now: int) -> bool:
    """Whether more than the job itself is needed to tell."""
    return _alone(Facts(job=job, now=now)) is None


def limit_keys(job: JobRecord) -> tuple[str, ...]:
    """The limits that must be read to tell."""
    keys = [] if job.rules is None else [limit.key for limit in job.rules.limits]
    if job.blocked_by is not None and not job.blocked_by.startswith("k:"):
        keys.append(job.blocked_by)
    return tuple(dict.fromkeys(keys))


def explain(facts: Facts) -> Waiting:
    """Why the job waits; of several reasons the first one in the order of :class:`Reason`."""
    for look in (_alone, _expired, _queue, _kind, _limit):
        found = look(facts)
        if found is not None:
            return found
    return _workers(facts)


def _alone(facts: Facts) -> Waiting | None:
    """What the job tells by itself."""
    job = facts.job
    if job.state in ENDED:
        why = f": {_clause(job.reason)}" if job.reason and job.reason != job.state else ""
        return Waiting(reason=Reason.ENDED, text=f"It has ended: {job.state}{why}.")
    if job.state is JobState.RUNNING:
        return Waiting(
            reason=Reason.RUNNING, text=f"It runs, in process {job.claimed_by}, run {job.run}."
        )
    if job.state is JobState.WAITING:
        return _dependency(facts)
    if job.state is not JobState.AVAILABLE and job.scheduled_at > facts.now:
        what = "tried again" if job.state is JobState.RETRYING else "due"
        return Waiting(
            reason=Reason.NOT_DUE,
            text=f"It is {what} {_in(job.scheduled_at, facts.now)}.",
            due_at=job.scheduled_at,
        )
    if job.parked is not None:
        how = "It waits for a worker that knows how to run it."
        text = f"It is parked: {_clause(job.parked)}. {how}"
        return Waiting(reason=Reason.PARKED, text=text)
    return None


def _dependency(facts: Facts) -> Waiting:
    """What a job of a workflow waits for, and whether that needs a person."""
    cause = facts.cause
    if cause is None:
        text = "It waits for other jobs that must succeed first."
        return Waiting(reason=Reason.DEPENDENCIES, text=text)
    what = f"job {cause.id} ({cause.kind})"
    if cause.state is JobState.SUCCEEDED:
        text = f"It takes the result of {what}, which could not be stored: retry that one."
    elif cause.state in ENDED:
        told = cause.error or cause.reason
        why = f": {_clause(told)}" if told else ""
        text = f"It waits for {what}, which is {cause.state}{why}. Retry that one to go on."
    else:
        text = f"It waits for {what}, which is {cause.state}."
    return Waiting(reason=Reason.DEPENDENCIES, text=text, held_by=(cause.id,))


def _queue(facts: Facts) -> Waiting | None:
    for queue in facts.queues:
        if queue.name == facts.job.queue and queue.paused:
            return Waiting(
                reason=Reason.PAUSED_QUEUE,
                text=_paused(f"Its queue {queue.name}", queue.reason, queue.resumes_at, facts.now),
                resumes_at=queue.resumes_at,
            )
    return None


def _kind(facts: Facts) -> Waiting | None:
    for kind in facts.kinds:
        if kind.kind == facts.job.kind:
            return Waiting(
                reason=Reason.PAUSED_KIND,
                text=_paused(f"Its kind {kind.kind}", kind.reason, kind.resumes_at, facts.now),
                resumes_at=kind.resumes_at,
            )
    return None


def _expired(facts: Facts) -> Waiting | None:
    expires_at = facts.job.expires_at
    # A job that has been started before does not expire any more.
    if expires_at is None or expires_at > facts.now or facts.job.attempted_at is not None:
        return None
    return Waiting(
        reason=Reason.EXPIRED,
        text=f"It expired {describe(facts.now - expires_at)} ago and will be cancelled.",
    )


def _limit(facts: Facts) -> Waiting | None:
    """The first of its limits that has no room now."""
    job = facts.job
    known = {record.key: record for record in facts.limits}
    declared = {} if job.rules is None else {limit.key: limit for limit in job.rules.limits}
    # What the store says it waits for comes first; it may have room again by now.
    keys = sorted(limit_keys(job), key=lambda key: key != job.blocked_by)
    for key in keys:
        record = known.get(key)
        if record is None:
            continue
        to, per = _holding(record, declared)
        if record.used >= to:
            return _full(record, to, per, facts.now)
    return None


def _holding(record: LimitRecord, declared: Mapping[str, Limit]) -> tuple[int, int | None]:
    own = declared.get(record.key)
    if own is None:
        return record.to, record.per
    now = effective(own, record.setting)
    return now.to, now.per


def _full(record: LimitRecord, to: int, per: int | None, now: int) -> Waiting:
    of = f"{record.name} of {record.value}" if record.value else record.name
    if per is None:
        by = f": {_some(record.holders, record.used)}" if record.holders else ""
        text = f"The limit {of} is full: {record.used} of {to} run{by}."
        reason = Reason.LIMITED
    else:
        opens = f" It opens {_in(record.opens_at, now)}." if record.opens_at is not None else ""
        text = f"The rate {of} is used up: {record.used} of {to} started in {describe(per)}.{opens}"
        reason = Reason.RATE
    return Waiting(
        reason=reason,
        text=text,
        key=record.key,
        used=record.used,
        of=to,
        held_by=record.holders,
        opens_at=record.opens_at,
    )


def _workers(facts: Facts) -> Waiting:
    """Nothing holds it back but that somebody must take it."""
    job = facts.job
    live = [process for process in facts.processes if process.lease_left > 0]
    serving = [process for process in live if _takes(process, job.queue)]
    able = [process for process in serving if job.kind in process.kinds]
    if not able:
        if not live:
            text = "No worker is alive. Start one: longshore worker."
        elif not serving:
            text = f"None of {_count(live)} serves its queue {job.queue}."
        else:
            text = f"None of {_count(serving)} of its queue {job.queue} knows its kind {job.kind}."
        return Waiting(reason=Reason.NO_WORKER, text=text)
    names = tuple(process.name for process in able)
    slots, running = sum(process.slots for process in able), sum(one.running for one in able)
    if running >= slots:
        run = "1 job runs" if running == 1 else f"{running} jobs run"
        text = f"Every slot is busy: {run} in {_count(able)} of its queue {job.queue}."
        return Waiting(reason=Reason.BUSY, text=text, workers=names)
    serve = "serves" if len(names) == 1 else "serve"
    text = f"It starts next: {_some(names, len(names))} {serve} its queue {job.queue}."
    return Waiting(reason=Reason.NEXT, text=text, workers=names)


def _takes(process: ProcessRecord, queue: str) -> bool:
    try:
        return any(serves(line, queue) for line, _ in read_lines(process.queues))
    except LongshoreError:  # written by another release
        return True


def _paused(what: str, reason: str | None, resumes_at: int | None, now: int) -> str:
    why = f": {_clause(reason)}" if reason else ""
    until = f" It goes on {_in(resumes_at, now)}." if resumes_at is not None else ""
    return f"{what} is paused{why}.{until}"


def _clause(text: str) -> str:
    """What somebody has said, inside a sentence of ours: that ends by itself."""
    return text.removesuffix(".") if not text.endswith("..") else text


def _in(at: int, now: int) -> str:
    return f"in {describe(at - now)}" if at > now else "at any moment"


def _count(processes: Sequence[ProcessRecord]) -> str:
    return "1 worker process" if len(processes) == 1 else f"{len(processes)} worker processes"


def _some(names: Sequence[str], of: int) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if of <= _NAMED else f"{shown} and {of - _NAMED} more"
