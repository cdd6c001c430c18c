"""The queues that a worker serves, as people write them, and which line takes which queue.

``"mail"`` is a queue, ``"mail*"`` and ``"*"`` take every queue that begins so as one line,
``"mail:8"`` gives a line a weight, and ``"-audit"`` or ``"-audit*"`` leaves queues out of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from longshore.core.options import check_queue
from longshore.core.wording import shown
from longshore.errors import ConfigurationError

MOST_WEIGHT: Final = 1000


class Line(msgspec.Struct, frozen=True, gc=False):
    """One or more queues that a worker serves as one line, in one common order.

    ``queues`` are names, or beginnings that end in ``*``; ``excludes`` are names or beginnings
    that are not served although they match.
    """

    queues: tuple[str, ...]
    excludes: tuple[str, ...] = ()


def read_lines(queues: Sequence[str]) -> tuple[tuple[Line, int | None], ...]:
    """The lines that a worker serves in this order, each with its weight if it has one.

    Raises:
        ConfigurationError: no queue, one that is listed twice, or a weight out of range.
        InvalidQueueName: what is not the name of a queue, or the beginning of one.

    >>> read_lines(["critical", "mail:8", "-audit"])[1]
    (Line(queues=('mail',), excludes=('audit',)), 8)
    """
    wanted = [_weighted(text) for text in queues if not text.startswith("-")]
    left_out = tuple(_pattern(text[1:]) for text in queues if text.startswith("-"))
    if not wanted and left_out:
        wanted = [("*", None)]
    if not wanted:
        raise ConfigurationError("a worker needs at least one queue, for example '*'")
    names = [name for name, _ in wanted]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"queue {name!r} is listed twice. Name it once, at its place.")
    return tuple((Line((_pattern(name),), left_out), weight) for name, weight in wanted)


def serves(line: Line, queue: str) -> bool:
    """Whether this line takes jobs of this queue.

    >>> serves(Line(("mail*",), ("mail.test",)), "mail.bulk")
    True
    """
    return any(_fits(pattern, queue) for pattern in line.queues) and not any(
        _fits(pattern, queue) for pattern in line.excludes
    )


def _weighted(text: str) -> tuple[str, int | None]:
    name, colon, weight = text.partition(":")
    if not colon:
        return name, None
    if weight.isascii() and weight.isdigit() and 1 <= int(weight[:9]) <= MOST_WEIGHT:
        return name, int(weight[:9])
    raise ConfigurationError(
        f"queue {shown(text)}: {shown(weight)} is not a weight. Give a whole number from 1 to"
        f" {MOST_WEIGHT}, as in 'mail:8,reports:2'."
    )


def _pattern(name: str) -> str:
    if name == "*":
        return name
    check_queue(name.removesuffix("*"))
    return name


def _fits(pattern: str, queue: str) -> bool:
    return queue.startswith(pattern[:-1]) if pattern.endswith("*") else queue == pattern
