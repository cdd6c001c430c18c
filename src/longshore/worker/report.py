"""An exception as it is kept with a job: class, message and traceback within their limits.

Errors come from anybody's code: ``__str__`` may raise, chains may be endless, text may hold
surrogates that no store takes. Nothing here may raise, or a job would be lost to its own error.
"""

from __future__ import annotations

import traceback
from itertools import islice

from longshore.core.outcome import MAX_MESSAGE, MAX_TRACEBACK, ErrorText


def describe(error: BaseException) -> ErrorText:
    """What is kept of an exception."""
    return ErrorText(_name(type(error)), _message(error), _traceback(error))


def _name(cls: type[BaseException]) -> str:
    module = cls.__module__
    name = cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"
    return _storable(name, 200)


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as problem:  # noqa: BLE001 - a user's __str__ may raise anything
        text = f"(its message could not be made: {type(problem).__name__})"
    return _storable(text, MAX_MESSAGE)


def _traceback(error: BaseException) -> str:
    try:
        lines = traceback.TracebackException.from_exception(
            error, limit=-60, max_group_width=10, max_group_depth=5
        ).format()
        text = "".join(islice(lines, 2_000))
    except BaseException as problem:  # noqa: BLE001 - hostile exceptions again
        text = f"(its traceback could not be made: {type(problem).__name__})"
    return _storable(text, MAX_TRACEBACK)


def _storable(text: str, limit: int) -> str:
    """Valid Unicode without NUL, at most ``limit`` UTF-8 bytes; the end says if it was cut."""
    raw = text.encode("utf-8", "backslashreplace").replace(b"\0", b"\\x00")
    if len(raw) <= limit:
        return raw.decode("utf-8")
    note = " [cut]"
    return raw[: limit - len(note)].decode("utf-8", "ignore") + note
