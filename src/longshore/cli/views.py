"""How jobs and times look to people and to programs that read JSON."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from longshore.cli.output import Columns
from longshore.core.durations import describe
from longshore.core.limits import Limit
from longshore.core.model import JobRecord, JobState, Run
from longshore.core.sealing import SHOWN, is_box
from longshore.core.waiting import Waiting
from longshore.core.wording import many

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ERROR_SHOWN: Final = 80

#: States of jobs that wait for something.
WAITING: Final = frozenset(
    {JobState.WAITING, JobState.SCHEDULED, JobState.AVAILABLE, JobState.RETRYING}
)


def moment(us: int | None) -> str | None:
    """A stored time as ISO 8601 in UTC."""
    if us is None:
        return None
    try:
        return (_EPOCH + timedelta(microseconds=us)).isoformat()
    except OverflowError:
        return None


def ago(us: int | None) -> str:
    """A stored time as people say it: ``5 min ago``, ``in 2 h``."""
    if us is None:
        return ""
    passed = time.time_ns() // 1000 - us
    if abs(passed) < 1_000_000:
        return "now"
    return f"{describe(passed)} ago" if passed > 0 else f"in {describe(-passed)}"


def span(us: int | None) -> float | None:
    """A stored duration in seconds."""
    return None if us is None else us / 1_000_000


class _Payload(msgspec.Struct):
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


def arguments(payload: bytes) -> tuple[list[Any], dict[str, Any]] | None:
    """Positional and named arguments; ``None`` when they cannot be read here."""
    try:
        found = msgspec.json.decode(payload, type=_Payload)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found.args, found.kwargs


def given_to(payload: bytes) -> dict[str, object]:
    """The arguments as fields of a JSON record; no program that shows jobs decrypts them."""
    if is_box(payload):
        return {"args": SHOWN, "kwargs": SHOWN}
    args, kwargs = arguments(payload) or (None, None)
    return {"args": args, "kwargs": kwargs}


def summary(job: JobRecord) -> dict[str, object]:
    """A job as one record of a list in JSON."""
    return {
        "id": job.id,
        "kind": job.kind,
        "queue": job.queue,
        "state": job.state.value,
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "run": job.run,
        "failures": job.failures,
        "interruptions": job.interruptions,
        **given_to(job.payload),
        "created_at": moment(job.created_at),
        "scheduled_at": moment(job.scheduled_at),
        "attempted_at": moment(job.attempted_at),
        "finalized_at": moment(job.finalized_at),
        "expires_at": moment(job.expires_at),
        "timeout_seconds": span(job.timeout),
        "progress": msgspec.to_builtins(job.progress),
        "error": job.error,
        "reason": job.reason,
        "parked": job.parked,
        "blocked_by": job.blocked_by,
        "identity": job.identity,
        "cancel_requested": job.cancel_requested,
        "tags": list(job.tags),
        "meta": dict(job.meta),
    }


def whole(job: JobRecord) -> dict[str, object]:
    """A job with its result and every run that did not succeed."""
    return {
        **summary(job),
        "claimed_by": job.claimed_by,
        "unique_key": _unique(job),
        "limits": [limit.key for limit in _limits(job)],
        "result": result(job),
        "result_error": job.result_error,
        "runs": [_run(run) for run in job.runs],
    }


def _unique(job: JobRecord) -> str | None:
    """The unique key that a job was stored with."""
    hold = None if job.rules is None else job.rules.hold
    return None if hold is None else hold.key


def _limits(job: JobRecord) -> tuple[Limit, ...]:
    return () if job.rules is None else job.rules.limits


def waiting(waits: Waiting | None) -> dict[str, object] | None:
    """What a job waits for, as a JSON record."""
    if waits is None:
        return None
    return {
        "reason": waits.reason.value,
        "text": str(waits),
        "key": waits.key,
        "used": waits.used,
        "of": waits.of,
        "held_by": list(waits.held_by),
        "opens_at": moment(waits.opens_at),
        "resumes_at": moment(waits.resumes_at),
        "due_at": moment(waits.due_at),
    }


def result(job: JobRecord) -> object:
    """What the job returned, as plain JSON; ``None`` when nothing is kept."""
    if job.result is None:
        return None
    return SHOWN if is_box(job.payload) else msgspec.json.decode(job.result)


def returned(job: JobRecord) -> str:
    """The same as a line for people; why there is none, where that is known."""
    if job.result is None:
        return job.result_error or ""
    return SHOWN if is_box(job.payload) else job.result.decode()


def _run(run: Run) -> dict[str, object]:
    return {
        "run": run.run,
        "process": run.process,
        "started_at": moment(run.started_at),
        "ended_at": moment(run.ended_at),
        "why": run.why.value,
        "error": run.error,
        "message": run.message,
        "traceback": run.traceback,
    }


def call(job: JobRecord) -> str:
    """The arguments as a call shows them: ``42, locale='fr'``."""
    if is_box(job.payload):
        return SHOWN
    given = arguments(job.payload)
    if given is None:
        return "(not readable here)"
    args, kwargs = given
    return ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])


def to_seconds(text: str | None) -> str:
    """A moment of a record without its fractions."""
    return f"{text[:19]}Z" if text else ""


def _since(text: str | None) -> str:
    if not text:
        return ""
    return ago((datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1))


def _short(text: str | None) -> str:
    line = (text or "").partition("\n")[0]
    return line if len(line) <= _ERROR_SHOWN else f"{line[:_ERROR_SHOWN]}..."


def _failed(job: Mapping[str, Any]) -> str | None:
    """Why a job failed last; one that killed its process every time has raised nothing."""
    error: str | None = job["error"]
    reason: str | None = job["reason"]
    return reason if error is None and job["state"] == JobState.DEAD else error


#: What a list of jobs may show; the first ones are shown unless others are chosen.
COLUMNS: Final[Columns] = {
    "id": lambda job: job["id"],
    "state": lambda job: job["state"],
    "kind": lambda job: job["kind"],
    "queue": lambda job: job["queue"],
    "attempt": lambda job: f"{job['attempt']}/{job['max_attempts']}",
    "created": lambda job: to_seconds(job["created_at"]),
    "error": lambda job: _short(_failed(job)),
    "due": lambda job: to_seconds(job["scheduled_at"]),
    "ended": lambda job: to_seconds(job["finalized_at"]),
    "priority": lambda job: str(job["priority"]),
    "run": lambda job: str(job["run"]),
    "tags": lambda job: ",".join(job["tags"]),
    "reason": lambda job: _short(job["reason"]),
    "blocked": lambda job: job["blocked_by"] or "",
    "args": lambda job: _short(msgspec.json.encode(job["kwargs"] or job["args"]).decode()),
}
#: The same on a terminal, where times are said as people say them.
FOR_PEOPLE: Final[Columns] = {
    **COLUMNS,
    "created": lambda job: _since(job["created_at"]),
    "due": lambda job: _since(job["scheduled_at"]),
    "ended": lambda job: _since(job["finalized_at"]),
}
USUAL: Final = ("id", "state", "kind", "queue", "attempt", "created", "error")


def shown(job: JobRecord, waits: str = "") -> list[tuple[str, str]]:
    """A job as people read all of it; ``waits``: what it waits for."""
    lines: list[tuple[str, str]] = [
        ("id", job.id),
        ("kind", job.kind),
        ("call", call(job)),
        ("queue", job.queue),
        ("state", _state(job)),
        ("waits", waits),
        ("attempt", _attempt(job)),
        ("created", _when(job.created_at)),
        ("due", _when(job.scheduled_at)),
        # A second run does not move it, so it may lie before the time the job was due again.
        ("first started" if job.run > 1 else "started", _when(job.attempted_at)),
        ("ended", _when(job.finalized_at)),
        ("reason", job.reason or ""),
        ("progress", _progress(job)),
        ("result", returned(job)),
        ("unique key", _unique(job) or ""),
        ("limits", ", ".join(limit.key for limit in _limits(job))),
        ("tags", ", ".join(job.tags)),
        ("meta", msgspec.json.encode(job.meta).decode() if job.meta else ""),
    ]
    for run in job.runs:
        error = f" {run.error}: {run.message}" if run.error else f" {run.message or ''}".rstrip()
        lines.append((f"run {run.run}", f"{run.why.value} {ago(run.ended_at)}{error}"))
    last = next((run.traceback for run in reversed(job.runs) if run.traceback), None)
    if last:
        lines.append(("traceback", last.rstrip()))
    return [(name, text) for name, text in lines if text]


def _attempt(job: JobRecord) -> str:
    text = f"{job.attempt} of {job.max_attempts}, run {job.run}"
    return f"{text}, {many(job.interruptions, 'interruption')}" if job.interruptions else text


def _state(job: JobRecord) -> str:
    marks: Mapping[str, object] = {
        "asked to end": job.cancel_requested,
        f"parked: {job.parked}": job.parked,
        f"blocked by {job.blocked_by}": job.blocked_by,
        f"on {job.claimed_by}": job.claimed_by if job.state is JobState.RUNNING else None,
    }
    given = [text for text, holds in marks.items() if holds]
    return f"{job.state.value} ({', '.join(given)})" if given else job.state.value


def _when(us: int | None) -> str:
    return "" if us is None else f"{moment(us)} ({ago(us)})"


def _progress(job: JobRecord) -> str:
    if job.progress is None:
        return ""
    done, total, message = job.progress.done, job.progress.total, job.progress.message
    share = f"{done:g}" if total is None else f"{done:g} of {total:g}"
    return f"{share}, {message}" if message else share
