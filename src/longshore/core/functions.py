"""What a callable is, read from its code: nothing is called, and `inspect` is slow to import."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import CodeType
from typing import Any, cast

_GENERATOR, _COROUTINE = 0x20, 0x80  # bits of `co_flags`, as `inspect` documents them


def is_coroutine_function(function: object) -> bool:
    """Whether calling it gives something to await.

    Example:
        >>> is_coroutine_function(print)
        False
    """
    code = code_of(function)
    return code is not None and bool(code.co_flags & _COROUTINE)


def is_generator_function(function: object) -> bool:
    """Whether calling it gives a generator.

    Example:
        >>> is_generator_function(print)
        False
    """
    code = code_of(function)
    return code is not None and bool(code.co_flags & _GENERATOR)


def code_of(function: object) -> CodeType | None:
    """The code that runs when it is called; ``None`` for a class and for what is written in C."""
    found: Any = function
    while _is_partial(found):
        found = found.func
    code: CodeType | None = getattr(found, "__code__", None)
    if code is None and callable(found) and not isinstance(found, type):
        code = getattr(found.__call__, "__code__", None)
    return code


def parameters_with(function: Callable[..., Any], default: object) -> tuple[str, ...]:
    """Names of the parameters that have just this object as their default.

    Example:
        >>> parameters_with(lambda a, b=None: a, None)
        ('b',)
    """
    while hasattr(function, "__wrapped__"):
        function = cast("Any", function).__wrapped__
    code = code_of(function)
    if code is None:
        return ()
    plain = cast("tuple[Any, ...]", getattr(function, "__defaults__", None) or ())
    named = cast("dict[str, Any]", getattr(function, "__kwdefaults__", None) or {})
    names = code.co_varnames[: code.co_argcount]
    defaults = dict(zip(names[len(names) - len(plain) :], plain, strict=True)) | named
    return tuple(name for name, value in defaults.items() if value is default)


def _is_partial(function: object) -> bool:
    return isinstance(function, partial)
