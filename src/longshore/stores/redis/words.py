"""How a job is written for the scripts: one line of words, parted by spaces; ``-`` stands for none.

A word holds no space: what is not plain is written ``%XX``, byte by byte. The words in their order
are named in ``scripts/jobs.lua``; behind them stands the payload if it is small.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias
from zlib import crc32

from msgspec import json, structs

from longshore.core.limits import Rules
from longshore.core.model import (
    Claimed,
    JobRecord,
    JobState,
    LogLine,
    NewJob,
    Progress,
    Run,
    Step,
)

_PLAIN: Final = re.compile(r"[!-$&-~]+")
_OTHER: Final = re.compile(rb"[^!-$&-~]")
_CODE: Final = re.compile(rb"%(..)?")

#: A payload of at most so many bytes stands behind the words of its job; as in
#: ``scripts/payloads.lua``. Who looks for a job reads both, and a text costs by its length.
SMALL: Final = 512

#: The text of a state, without the cost of asking an enumeration for it; and back.
TEXT: Final[Mapping[JobState, str]] = {state: state.value for state in JobState}
STATES: Final[Mapping[bytes, JobState]] = {state.value.encode(): state for state in JobState}


@lru_cache(4096)
def word(text: str) -> str:
    """A text as one word."""
    if text != "-" and _PLAIN.fullmatch(text):
        return text
    if not text or text == "-":
        return f"%{text.encode().hex()}"
    return _OTHER.sub(lambda found: b"%%%02x" % found[0][0], text.encode()).decode()


@lru_cache(4096)
def text(given: bytes) -> str:
    """The text of a word."""
    if b"%" in given:
        given = _CODE.sub(lambda found: bytes.fromhex((found[1] or b"").decode()), given)
    return given.decode()


def line_of(job: NewJob, state: str, queue: str, kind: str, flags: str = "-") -> bytes:
    """A job that has just come; the others as words already."""
    head = _head_of(job, state, queue, kind, flags)
    return b"%b%d %d" % (head, job.scheduled_at, job.created_at)


def with_payload(job: NewJob, state: str, queue: str, kind: str) -> bytes:
    """The same with its payload behind it, of at most :data:`SMALL` bytes.

    The byte at the end is the same for jobs that are the same but for their ids, so that they share
    one text in the scripts, and mostly another for any others: ``scripts/jobs.lua`` tells why.
    """
    payload, created_at = job.payload, job.created_at
    return b"%b%d %d\n%b%c" % (
        _head_of(job, state, queue, kind, "-"),
        job.scheduled_at,
        created_at,
        payload,
        crc32(payload, created_at) & 255,
    )


def _head_of(job: NewJob, state: str, queue: str, kind: str, flags: str) -> bytes:
    """The words of a job but for its times; those of most are those of many."""
    extras: str | None = None
    write: Callable[[tuple[str | int | None, ...]], bytes] = _known
    if job.tags or job.meta:
        # A space may only stand in a text, where it may be written so.
        extras = json.encode([job.tags, job.meta or None]).decode().replace(" ", r"\u0020")
        write = _written
    elif job.expires_at is not None:
        write = _written
    return write(
        (
            state, flags, queue, kind, job.keep_result, job.priority, job.expires_at,
            job.max_attempts, job.timeout, extras,
        )
    )  # fmt: skip


def _written(words: tuple[str | int | None, ...]) -> bytes:
    return (_HEAD % tuple("-" if one is None else one for one in words)).encode()


_HEAD: Final = "%s 0 - - - - - %s %s %s %s 0 0 %s %s - %s %s %s "

# Of ten thousand queues each is remembered.
_known: Final = lru_cache(10_240)(_written)


def flags_of(rules: Rules) -> str:
    """What rules ask for, a letter each; see ``scripts/jobs.lua``."""
    hold = rules.hold
    letters = (
        "f" * (rules.fair is not None),
        "g" * bool(rules.bundles),
        "h" * (hold is not None and not hold.until_started),
        "l" * bool(rules.limits),
        "m" * rules.at_most_once,
        "r" * (bool(rules.limits) and all(limit.per is not None for limit in rules.limits)),
        "s" * (hold is not None and hold.until_started),
    )
    return "".join(letters) or "-"


def parted(value: bytes, large: bytes | None) -> tuple[bytes, bytes]:
    """The words and the payload of a job; ``large``: what the hash ``payload`` has of it."""
    words, mark, payload = value.partition(b"\n")
    # Every job has one or the other.
    return words, payload[:-1] if mark or large is None else large


def fresh(
    ids: Sequence[bytes], values: Sequence[bytes], payloads: Sequence[bytes | None], now: int
) -> list[Claimed]:
    """Jobs as a worker gets them that were claimed as they had been written: most.

    Neighbours are mostly alike but for their times: what the last one said is not read again.
    ``payloads``: those that do not stand behind the words; nothing when all do.
    """
    made: list[Claimed] = []
    if not ids:
        return made
    head, size, times, kind, queue, tags, meta = b"\n", 1, b"", "", "", (), None
    priority = max_attempts = scheduled_at = created_at = 0
    timeout = keep_result = None
    # A UUID has no space in it: all of them are decoded at once.
    for job_id, value, payload in zip(
        b" ".join(ids).decode().split(" "), values, payloads or [None] * len(values), strict=True
    ):
        line = value if payload is None else value + b"\n"
        if line[:size] != head:
            alike = line[: line.index(b"\n")].rsplit(b" ", 2)[0]
            kind, queue, priority, max_attempts, timeout, keep_result, tags, meta = _shared(alike)
            head = alike + b" "
            size = len(head)
        end = line.index(b"\n", size)
        if line[size:end] != times:
            times = line[size:end]
            scheduled, created = times.split(b" ")
            scheduled_at = int(scheduled)
            created_at = scheduled_at if created == scheduled else int(created)
        made.append(
            Claimed(
                job_id, 1, kind, queue, line[end + 1 : -1] if payload is None else payload,
                priority, 0, 0, max_attempts, scheduled_at, created_at, now,
                timeout, keep_result, None, tags, meta,
            )
        )  # fmt: skip
    return made


def changed(job: Claimed, state: bytes, budgets: bytes | None) -> Claimed:
    """The same job where it was not claimed as it had been written; ``=``: as it was."""
    words = state.split(b" ")
    return structs.replace(
        job,
        run=int(words[1]),
        claimed_at=int(words[4]),
        queue=text(words[8]),
        keep_result=job.keep_result if words[10] == b"=" else _number(words[10]),
        failures=int(words[11]),
        interruptions=int(words[12]),
        priority=job.priority if words[13] == b"=" else int(words[13]),
        scheduled_at=job.scheduled_at if words[16] == b"=" else int(words[16]),
        budgets=budgets,
    )


_Shared: TypeAlias = tuple[str, str, int, int, int | None, int | None, Any, bytes | None]


def _shared(alike: bytes) -> _Shared:
    """What the line of a job says but for its times: the same for most jobs of a kind and queue."""
    # Of ten thousand queues each is remembered; tags and meta may be another job's in each.
    return _without_extras(alike) if alike.endswith(b" -") else _with_extras(alike)


def _read(alike: bytes) -> _Shared:
    words = alike.split(b" ")
    tags, meta = _EXTRAS.decode(words[18]) if words[18] != b"-" else ((), None)
    return (
        text(words[9]),
        text(words[8]),
        int(words[13]),
        int(words[16]),
        _number(words[17]),
        _number(words[10]),
        tags,
        None if meta is None else json.encode(meta),
    )


_without_extras: Final = lru_cache(10_240)(_read)
_with_extras: Final = lru_cache(1024)(_read)


def record(columns: Sequence[Any]) -> JobRecord:
    """A job as people read it; ``columns`` as ``scripts/records.lua`` names them, after the id."""
    (
        job_id, line, now, payload, result, error, reason, parked, progress, runs,
        identity, rules, blocked_by,
    ) = columns  # fmt: skip
    line, payload = parted(line, payload)
    words = line.split(b" ")
    if now is not None:
        changed = now.split(b" ")
        # The time when it is due stands behind the words that never change.
        for number, changed_word in zip((*range(16), 19), changed, strict=True):
            if changed_word != b"=":
                words[number] = changed_word
    (
        state, run, process, _, claimed_at, attempted_at, finalized_at, flags, queue, kind,
        keep_result, failures, interruptions, priority, expires_at, _, max_attempts, timeout,
        extras, scheduled_at, created_at,
    ) = words  # fmt: skip
    tags, meta = _EXTRAS.decode(extras) if extras != b"-" else ((), None)
    return JobRecord(
        id=job_id.decode(),
        kind=text(kind),
        queue=text(queue),
        state=STATES[state],
        payload=payload,
        priority=int(priority),
        run=int(run),
        failures=int(failures),
        interruptions=int(interruptions),
        max_attempts=int(max_attempts),
        scheduled_at=int(scheduled_at),
        created_at=int(created_at),
        attempted_at=_number(attempted_at),
        claimed_at=_number(claimed_at),
        finalized_at=_number(finalized_at),
        expires_at=_number(expires_at),
        timeout=_number(timeout),
        keep_result=_number(keep_result),
        claimed_by=None if process == b"-" else text(process),
        cancel_requested=b"c" in flags,
        parked=parked and parked.decode(),
        reason=reason and reason.decode(),
        result=result,
        result_error=error and error.decode(),
        progress=progress and _PROGRESS.decode(progress),
        tags=tags,
        meta=meta or {},
        runs=() if runs is None else _RUNS.decode(b"[%b]" % runs.replace(b"\n", b",")),
        identity=identity and text(identity),
        rules=rules and _RULES.decode(rules),
        blocked_by=blocked_by and blocked_by.decode(),
    )


def step_words(step: Step) -> bytes:
    """A step but for its name: whether it is a loop, run, time, and its value as it is."""
    return b"%d %d %d %b" % (step.cursor, step.run, step.saved_at, step.value)


def step_of(name: bytes, words: bytes) -> Step:
    """The step of this name."""
    cursor, run, saved_at, value = words.split(b" ", 3)
    return Step(name.decode(), value, int(saved_at), int(run), cursor == b"1")


#: A line of a log.
line_of_log: Final = json.Decoder(LogLine).decode

_EXTRAS: Final = json.Decoder(tuple[tuple[str, ...], dict[str, Any] | None])
_PROGRESS: Final = json.Decoder(Progress)
_RULES: Final = json.Decoder(Rules)
_RUNS: Final = json.Decoder(tuple[Run, ...])


def _number(given: bytes) -> int | None:
    return None if given == b"-" else int(given)
