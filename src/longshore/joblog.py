"""``ctx.log``: what a job says while it runs, kept with the job and passed on to ``logging``."""

from __future__ import annotations

import itertools
import logging
import time
import traceback
from collections.abc import Callable
from typing import Final

from longshore.core.model import RUN_LINES, LogLine
from longshore.core.wording import storable
from longshore.errors import LongshoreError

#: The most bytes of one line that are kept.
MAX_LINE: Final = 8192

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

#: Takes a line to where it is kept.
Told = Callable[[LogLine], None]


class JobLog:
    """The log of one run: ``info("page %d of %d", 3, 50)``, and so at each level.

    A line goes to the job, of which the last 1 000 are kept with 8 KB of each, and to the logger
    ``longshore.job.<kind>`` of this process. Outside a running job only that logger hears of it.
    It never raises: what cannot be written as asked is kept as it was given.

    >>> from longshore import CONTEXT
    >>> CONTEXT.log.info("page %d of %d", 3, 50)
    """

    def __init__(self, kind: str, run: int, tell: Told | None) -> None:
        self._logger = logging.getLogger(f"longshore.job.{kind}" if kind else "longshore.job")
        self._first = run * RUN_LINES
        self._numbers = itertools.count(1)
        self._tell = tell

    def debug(self, message: object, *args: object) -> None:
        """A detail; ``args`` are put into ``message`` as ``logging`` does."""
        self._say("debug", message, args)

    def info(self, message: object, *args: object) -> None:
        """What the job does."""
        self._say("info", message, args)

    def warning(self, message: object, *args: object) -> None:
        """Something that somebody may want to look at."""
        self._say("warning", message, args)

    def error(self, message: object, *args: object) -> None:
        """Something went wrong, and the job goes on."""
        self._say("error", message, args)

    def exception(self, message: object, *args: object) -> None:
        """As :meth:`error`, with the traceback of the exception that is being handled."""
        text = f"{_text(message, args)}\n{traceback.format_exc()}"
        self._say("error", text.rstrip(), ())

    def _say(self, level: str, message: object, args: tuple[object, ...]) -> None:
        text = _text(message, args)
        try:
            self._logger.log(_LEVELS[level], "%s", text, stacklevel=3)
        except LongshoreError:
            raise  # for the job: its time is up, or somebody wants it to end
        except Exception:  # noqa: BLE001, S110 - a filter of the application's; the job's line is kept
            pass
        if self._tell is None:
            return
        number = next(self._numbers)
        if number < RUN_LINES:
            line = LogLine(
                self._first + number, time.time_ns() // 1000, level, storable(text, MAX_LINE)
            )
            self._tell(line)


def _text(message: object, args: tuple[object, ...]) -> str:
    try:
        text = str(message)
        return text % args if args else text
    except Exception:  # noqa: BLE001 - a line of a log must not fail a job
        try:
            return f"{message!r} {args!r}"
        except Exception:  # noqa: BLE001 - a foreign __repr__ may raise anything
            return f"(a {type(message).__name__} that cannot be written)"
