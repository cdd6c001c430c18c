"""Which queues a line serves: names, beginnings that end in ``*``, and what it leaves out."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.core.lines import serves
from longshore.core.store import Line

__all__ = ["chosen", "names", "serves"]


def names(line: Line) -> tuple[str, ...] | None:
    """The queues of a line that names each of them, or ``None`` if one has to look what exists."""
    if any(pattern.endswith("*") for pattern in line.queues):
        return None
    return tuple(dict.fromkeys(name for name in line.queues if serves(line, name)))


def chosen(line: Line, existing: Iterable[str]) -> list[str]:
    """Those of the existing queues that the line serves."""
    if "*" in line.queues and not line.excludes:
        return list(existing)
    return [queue for queue in existing if serves(line, queue)]
