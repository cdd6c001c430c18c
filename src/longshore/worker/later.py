"""Something that is to be done once, when there is time for it or when it has to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")


class Later:
    """Does it at the first call, and nothing at others."""

    __slots__ = ("_do",)

    def __init__(self, do: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        self._do: Callable[[], object] | None = lambda: do(*args, **kwargs)

    def __call__(self) -> None:
        do, self._do = self._do, None
        if do is not None:
            do()
