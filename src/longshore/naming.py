"""What a declared job is called in the store, and where its code stands."""

from __future__ import annotations

import sys
from typing import Any, Final

from longshore.core.functions import code_of
from longshore.core.wording import shown
from longshore.errors import InvalidOption, NotAJobFunction
from longshore.modules import importable

_MAX_KIND: Final = 200


def read_kind(target: Any, given: str | None) -> str:
    """The stored name: as given, else ``module.qualname``, of a script as others import it."""
    if given is not None:
        return check_kind(given)
    name, module = getattr(target, "__qualname__", None), getattr(target, "__module__", None)
    if name is None or module is None:
        msg = f"{shown(target)} has no name under which it could be stored: declare it with kind="
        raise NotAJobFunction(msg)
    main = sys.modules.get(module)
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    return check_kind(f"{importable(module, spec, file)}.{name}")


def where(target: Any) -> str:
    """File and line of a function, file and name of a class."""
    code = code_of(target)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    module = getattr(target, "__module__", "")
    file = getattr(sys.modules.get(module), "__file__", module)
    return f"{file}:{getattr(target, '__qualname__', shown(target))}"


def check_kind(name: object, field: str = "kind") -> str:
    """The stored name of a job; raises :class:`InvalidOption` for what can be none."""
    if isinstance(name, str) and 0 < len(name) <= _MAX_KIND and name.isprintable():
        return name
    msg = f"{field}={shown(name)} is not a kind. Give 1 to {_MAX_KIND} printable characters."
    raise InvalidOption(msg)
