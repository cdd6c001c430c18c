"""Where a worker program's words go: stderr, one line each, coloured on a terminal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

_PLAIN = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"
_SHORT = "%(asctime)s %(message)s"
_COLOURS = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31;1"}
_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}


def set_up_logging(verbosity: int) -> None:
    """Log to stderr, as a program of its own does; a library leaves logging to its host.

    Parameters: ``verbosity``: -1 errors only, 0 warnings, 1 every job, 2 and more everything.
    """
    logging.basicConfig(level=_level(verbosity), handlers=[_handler()])
    # A full disk or a closed pipe behind stderr must not fail a job or flood what is left of it.
    logging.raiseExceptions = False


@contextmanager
def logging_of(verbosity: int) -> Generator[None]:
    """While an application is imported: it may set up logging, else afterwards we do.

    Until then its words go where ours would, by the handler of last resort: one at the root would
    make its ``logging.basicConfig()`` do nothing.
    """
    root, last = logging.getLogger(), logging.lastResort
    logging.lastResort = _handler()
    root.setLevel(_level(verbosity))
    try:
        yield
    finally:
        logging.lastResort = last
        theirs = bool(root.handlers)
        set_up_logging(verbosity)
        for handler in root.handlers:
            # Nobody chose that form: it is what logging.warning() of a module leaves, say.
            if getattr(handler.formatter, "_fmt", None) == logging.BASIC_FORMAT:
                handler.setFormatter(_formatter())
        ours = logging.getLogger("longshore")
        if theirs and verbosity and not ours.level:
            ours.setLevel(_level(verbosity))  # -v and -q say what we say, wherever it goes


def tell(text: str) -> None:
    """Say something to the person at the terminal; a closed stderr is no reason to stop."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return


def _level(verbosity: int) -> int:
    return _LEVELS.get(verbosity, logging.DEBUG)


def _handler() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter())
    return handler


def _formatter() -> logging.Formatter:
    return _Coloured(_SHORT, "%H:%M:%S") if _in_colour() else logging.Formatter(_PLAIN)


class _Coloured(logging.Formatter):
    """For a person who watches: the level is a colour instead of a word."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        colour = _COLOURS.get(record.levelno)
        return text if colour is None else f"\x1b[{colour}m{text}\x1b[0m"


def _in_colour() -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return bool(os.environ.get("FORCE_COLOR")) or sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False
