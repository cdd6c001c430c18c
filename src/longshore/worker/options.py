"""What a worker is asked to do, checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import msgspec

from longshore.core.lines import Line, read_lines
from longshore.core.wording import shown
from longshore.errors import ConfigurationError

MAX_SLOTS = 1000
MAX_PROCESSES = 256


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one worker, as the command line or a program gives them.

    ``app`` is ``module:attribute`` or ``file.py:attribute``; ``None`` looks in the usual places
    from ``cwd``. Durations in seconds; ``None`` takes the application's setting. ``max_rss`` is the
    memory in bytes above which a child is replaced. Without ``scheduler`` it fires no schedules.
    """

    app: str | None = None
    cwd: str = "."
    queues: tuple[str, ...] = ("*",)
    processes: int = 1
    threads: int = 10
    shutdown_timeout: float | None = None
    until_empty: bool = False
    max_jobs: int | None = None
    max_rss: int | None = None
    idle_timeout: float | None = None
    name: str | None = None
    reload: bool = False
    scheduler: bool = True
    verbosity: int = 0

    def checked(self) -> WorkerOptions:
        """Itself, or :class:`ConfigurationError` naming what is wrong and the range."""
        _within("processes", self.processes, MAX_PROCESSES)
        _within("threads", self.threads, MAX_SLOTS)
        if self.max_jobs is not None:
            _within("max_jobs", self.max_jobs, 2**31)
        lines_of(self.queues)
        return self


def names_of(queues: object) -> tuple[str, ...]:
    """The queues that a program gives a worker; :class:`ConfigurationError` if it is no list."""
    if isinstance(queues, str):
        # Taken apart it would be queues of one letter, served in silence.
        raise ConfigurationError(f"queues={shown(queues)} is one text. Give a list of names.")
    if not isinstance(queues, Iterable):
        raise ConfigurationError(f"queues={shown(queues)} is no list. Give a list of names.")
    return tuple(cast("Iterable[str]", queues))


def lines_of(queues: Sequence[str]) -> tuple[Line, ...]:
    """The lines that a worker serves, in the order written.

    How they are written, weights included, stands in :mod:`longshore.core.lines`.

    >>> lines_of(["critical", "*", "-audit"])
    (Line(queues=('critical',), excludes=('audit',)), Line(queues=('*',), excludes=('audit',)))
    """
    return tuple(line for line, _ in read_lines(queues))


def weights_of(queues: Sequence[str]) -> tuple[int | None, ...]:
    """The weights of these lines.

    >>> weights_of(["critical", "mail:8", "-audit"])
    (None, 8)
    """
    return tuple(weight for _, weight in read_lines(queues))


def _within(field: str, value: object, most: int) -> None:
    if type(value) is not int or not 1 <= value <= most:
        raise ConfigurationError(
            f"{field} must be a whole number from 1 to {most}, not {shown(value)}"
        )
