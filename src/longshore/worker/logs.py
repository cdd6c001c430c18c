"""Where a worker program's words go: stderr, one line each, coloured on a terminal."""

from __future__ import annotations

import logging
import os
import sys

_PLAIN = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"
_SHORT = "%(asctime)s %(message)s"
_COLOURS = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31;1"}
_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}


def set_up_logging(verbosity: int) -> None:
    """Log to stderr, as a program of its own does; a library leaves logging to its host.

    Parameters: ``verbosity``: -1 errors only, 0 warnings, 1 every job, 2 and more everything.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(
        _Coloured(_SHORT, "%H:%M:%S") if _in_colour() else logging.Formatter(_PLAIN)
    )
    logging.basicConfig(level=_LEVELS.get(verbosity, logging.DEBUG), handlers=[handler])
    # A full disk or a closed pipe behind stderr must not fail a job or flood what is left of it.
    logging.raiseExceptions = False


def tell(text: str) -> None:
    """Say something to the person at the terminal; a closed stderr is no reason to stop."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return


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
