"""An exception as it is kept with a job: class, message and traceback within their limits.

Errors come from anybody's code: ``__str__`` may raise, chains may be endless, text may hold
surrogates that no store takes. Nothing here may raise, or a job would be lost to its own error.
"""

from __future__ import annotations

import traceback
from itertools import islice

from longshore.core.outcome import MAX_MESSAGE, MAX_TRACEBACK, ErrorText
from longshore.core.wording import storable
from longshore.worker.traces import FRAMES, quickly


def describe(error: BaseException) -> ErrorText:
    """What is kept of an exception."""
    return ErrorText(_name(type(error)), _message(error), _traceback(error))


def _name(cls: type[BaseException]) -> str:
    module = cls.__module__
    name = cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"
    return storable(name, 200)


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as problem:  # noqa: BLE001 - a user's __str__ may raise anything
        text = f"(its message could not be made: {type(problem).__name__})"
    return storable(text, MAX_MESSAGE)


def _traceback(error: BaseException) -> str:
    try:
        text = _quickly(error) or _in_full(error)
    except BaseException as problem:  # noqa: BLE001 - hostile exceptions again
        text = f"(its traceback could not be made: {type(problem).__name__})"
    return storable(text, MAX_TRACEBACK)


def _quickly(error: BaseException) -> str | None:
    try:
        return quickly(error)
    except BaseException:  # noqa: BLE001 - attributes of an exception may raise when asked for
        return None


def _in_full(error: BaseException) -> str:
    lines = traceback.TracebackException.from_exception(
        error, limit=-FRAMES, max_group_width=10, max_group_depth=5
    ).format()
    return "".join(islice(lines, 2_000))
