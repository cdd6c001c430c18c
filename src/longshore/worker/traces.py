"""Tracebacks of errors that come again and again, as :mod:`traceback` writes them.

Where everything fails (a server that jobs need is away), the same lines of code raise thousands of
times. To write one out costs 25 µs a frame, and a look at its file for each: there other threads
take over, and whoever fails waits until it is its turn again. So a frame's text is made once.
"""

from __future__ import annotations

import traceback
from types import CodeType, TracebackType

#: How many frames are told of each error: the last ones.
FRAMES = 60
#: How many errors one that came of another may have before it.
CHAIN = 20
#: How many frames are remembered; with more the memory begins anew.
REMEMBERED = 4096
#: A longer text is not: a line of code may be a whole program.
LONGEST = 2000
#: From so many equal lines on the standard library writes how often one was repeated.
REPEATED = 4

_HEAD = "Traceback (most recent call last):\n"
_CAUSE = (
    "\nThe above exception was the direct cause of the following exception:\n\n"  # as Python says
)
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"

#: Of these the standard library says more than their message.
_RICHER = (SyntaxError, NameError, AttributeError, ImportError, BaseExceptionGroup)

# By the identity of its code and where in it: to compare code would be to compare all of it. The
# code is kept beside the text, so that no other one gets its identity.
frames: dict[tuple[int, int], tuple[CodeType, str]] = {}


def quickly(error: BaseException) -> str | None:
    """The traceback of an error with those it came of, the oldest first.

    ``None`` where there is more to say than frames, classes and messages: notes, groups,
    suggestions, a syntax error, recursion, a chain that is long or closed, no message to be had.
    """
    parts: list[str] = []
    seen: set[int] = set()
    told: BaseException | None = error
    while told is not None:
        stack = None if len(seen) == CHAIN or id(told) in seen else _stack(told)
        line = _last_line(told)
        if stack is None or line is None:
            return None
        seen.add(id(told))
        parts.append(f"{_HEAD}{stack}{line}")
        if told.__cause__ is not None:
            parts.append(_CAUSE)
            told = told.__cause__
        elif told.__context__ is not None and not told.__suppress_context__:
            parts.append(_CONTEXT)
            told = told.__context__
        else:
            told = None
    return "".join(reversed(parts))


def _stack(error: BaseException) -> str | None:
    if isinstance(error, _RICHER) or error.__traceback__ is None or hasattr(error, "__notes__"):
        return None
    entries: list[TracebackType] = []
    entry: TracebackType | None = error.__traceback__
    line, again = ("", 0), 0
    while entry is not None:
        here = (entry.tb_frame.f_code.co_filename, entry.tb_lineno)
        line, again = (line, again + 1) if here == line else (here, 1)
        if again == REPEATED:
            return None
        entries.append(entry)
        entry = entry.tb_next
    return "".join([_frame(entry) for entry in entries[-FRAMES:]])


def _frame(entry: TracebackType) -> str:
    code = entry.tb_frame.f_code
    key = id(code), entry.tb_lasti
    known = frames.get(key)
    if known is not None:
        return known[1]
    text = "".join(traceback.format_tb(entry, limit=1))
    if len(text) <= LONGEST:
        if len(frames) >= REMEMBERED:
            frames.clear()
        frames[key] = code, text
    return text


def _last_line(error: BaseException) -> str | None:
    cls = type(error)
    try:
        message = "".join(str(error))  # not of a class that formats itself
    except BaseException:  # noqa: BLE001 - a user's __str__ may raise anything
        return None
    name = cls.__qualname__
    module = getattr(cls, "__module__", None)  # a class may say what it likes
    if not isinstance(module, str):
        return None
    if module not in ("__main__", "builtins"):
        name = f"{module}.{name}"
    return f"{name}: {message}\n" if message else f"{name}\n"
