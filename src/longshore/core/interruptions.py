"""What follows when the process of a started job dies: the rule of three, and what is kept of it.

A process that dies takes every body in it along, and nobody can tell which of them killed it. So
no death is held against a job until it has run alone: the first interruption changes nothing, after
the second it runs in a fresh process in which nothing else runs, and a death there is its own. Who
sees that third death within a day ends the job dead, ``poison``: it is quarantined until a person
retries it. A death that nobody saw, or that others died of too, is counted and blames nobody.

Pure: the worker says what it saw, the stores count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from longshore.core.model import Claimed, Ending, JobState, Run, Why
from longshore.core.outcome import MAX_MESSAGE, MAX_TRACEBACK, Attempt
from longshore.core.wording import storable

#: Why a job is dead that has killed its process again and again.
POISON: Final = "poison"

#: So often interrupted, a job runs alone.
ALONE_AFTER: Final = 2

#: The interruption that quarantines a job, if it was alone and so many lie within the window.
MOST: Final = 3
WINDOW: Final = 24 * 3_600_000_000

#: What is kept of the run of a job that a dead process held and had not started.
BEFORE_START: Final = "interrupted before start"
#: And of one whose body was over: it cannot have killed the process, so that it is not suspected.
AFTER_END: Final = "its process died after its body had ended and before that was stored"

_CURRENT: Final = "Current thread "


class Crash(msgspec.Struct, frozen=True, gc=False):
    """What is known of a process's end: a sentence, and where its threads were if it could say."""

    message: str
    traceback: str | None = None


def is_suspect(job: Claimed) -> bool:
    """Whether a job has to run alone now, since its process has died under it twice."""
    return job.interruptions >= ALONE_AFTER


def crash_of(how: str, text: bytes = b"") -> Crash:
    r"""What to keep of a process that has ended ``how``, with all that it wrote when it crashed.

    The thread that crashed comes first, so that it is still there when the rest is cut off.

    >>> crash_of("SIGSEGV", b"Fatal Python error: x\n\nThread 1:\n  a\n\nCurrent thread 2:\n  b\n")
    Crash(message='its process died: SIGSEGV', traceback='Fatal Python error: x\n\nCurrent...
    """
    parts = text.decode("utf-8", "replace").split("\n\n")
    head, *threads = (part.strip("\n") for part in parts)
    threads.sort(key=lambda thread: not thread.startswith(_CURRENT))
    told = storable("\n\n".join([head, *threads]).strip(), MAX_TRACEBACK)
    return Crash(storable(f"its process died: {how}", MAX_MESSAGE), told or None)


def died(attempt: Attempt, crash: Crash, history: Sequence[Run] | None) -> Ending:
    """How a run ends whose process died while nothing else ran in it.

    Parameters: ``history``, the job's runs so far that did not succeed; ``None`` if they cannot be
    read, and then it is not quarantined.
    """
    entry = msgspec.structs.replace(
        attempt.entry(Why.INTERRUPTED), message=crash.message, traceback=crash.traceback
    )
    poison = history is not None and _is_poison(attempt, history)
    return Ending(
        attempt.lease,
        JobState.DEAD if poison else JobState.AVAILABLE,
        interrupted=True,
        entry=entry,
        reason=POISON if poison else crash.message,
    )


def _is_poison(attempt: Attempt, history: Sequence[Run]) -> bool:
    """Whether this is the third interruption within a day since it was made or retried."""
    if attempt.job.interruptions + 1 < MOST:
        return False
    # What was before a person's retry is still there, but at least two have come after it.
    since = attempt.ended_at - WINDOW
    lately = [run for run in history if run.why is Why.INTERRUPTED and run.ended_at > since]
    return len(lately) + 1 >= MOST
