"""Who called: the first frame outside this package, for warnings and for relative paths."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final

from longshore.errors import LongshoreWarning

_PACKAGE: Final = __name__.partition(".")[0]
_frame: Callable[[int], FrameType] = vars(sys)["_getframe"]


def caller() -> tuple[int, Mapping[str, Any]]:
    """How many frames above the calling function the package is left, and what that frame knows.

    The number is the ``stacklevel`` of a ``warnings.warn`` in the calling function.
    """
    level = 1
    frame = _frame(1)
    while frame.f_back is not None and _is_ours(frame.f_globals):
        level, frame = level + 1, frame.f_back
    return level, frame.f_globals


def warn(message: str) -> None:
    """Warn at the line of the application that called Longshore."""
    level, _ = caller()
    warnings.warn(message, LongshoreWarning, stacklevel=level)


def _is_ours(names: Mapping[str, Any]) -> bool:
    return str(names.get("__name__", "")).partition(".")[0] == _PACKAGE
