"""What a worker is asked to do, checked."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from longshore.core.options import check_queue
from longshore.core.store import Line
from longshore.errors import ConfigurationError

MAX_SLOTS = 1000
MAX_PROCESSES = 256


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one worker, as the command line or a program gives them.

    ``app`` is ``module:attribute`` or ``file.py:attribute``; ``None`` looks in the usual places
    from ``cwd``. Durations in seconds; ``None`` takes the application's setting.
    """

    app: str | None = None
    cwd: str = "."
    queues: tuple[str, ...] = ("*",)
    processes: int = 1
    threads: int = 10
    shutdown_timeout: float | None = None
    until_empty: bool = False
    max_jobs: int | None = None
    idle_timeout: float | None = None
    name: str | None = None
    reload: bool = False
    verbosity: int = 0

    def checked(self) -> WorkerOptions:
        """Itself, or :class:`ConfigurationError` naming what is wrong and the range."""
        _within("processes", self.processes, MAX_PROCESSES)
        _within("threads", self.threads, MAX_SLOTS)
        if self.max_jobs is not None:
            _within("max_jobs", self.max_jobs, 2**31)
        lines_of(self.queues)
        return self


def lines_of(queues: Sequence[str]) -> tuple[Line, ...]:
    """The lines that a worker serves, strictly in this order.

    ``"mail"`` is a queue, ``"mail*"`` and ``"*"`` take every queue that begins so as one line, and
    ``"-audit"`` or ``"-audit*"`` leaves queues out of all of them.

    >>> lines_of(["critical", "*", "-audit"])
    (Line(queues=('critical',), excludes=('audit',)), Line(queues=('*',), excludes=('audit',)))
    """
    wanted = [name for name in queues if not name.startswith("-")]
    left_out = tuple(_pattern(name[1:]) for name in queues if name.startswith("-"))
    if not wanted and left_out:
        wanted = ["*"]
    if not wanted:
        raise ConfigurationError("a worker needs at least one queue, for example '*'")
    for name in wanted:
        if wanted.count(name) > 1:
            raise ConfigurationError(f"queue {name!r} is listed twice. Name it once, at its place.")
    return tuple(Line((_pattern(name),), left_out) for name in wanted)


def _pattern(name: str) -> str:
    if name == "*":
        return name
    check_queue(name.removesuffix("*"))
    return name


def _within(field: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise ConfigurationError(f"{field} must be a whole number from 1 to {most}, not {value}")
