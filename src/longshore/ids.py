"""Job ids: UUIDv7 text, made by the client before it sends.

Source: RFC 9562, section 5.7, with method 2 of section 6.2: inside one millisecond the random part
is a counter from a random start in random steps, so the ids of one process sort in the order in
which they were made.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from itertools import count
from time import time_ns
from typing import Final

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_id() -> str:
    """A fresh id, larger than every one this process made before."""
    now = time_ns() // 1_000_000
    moment = _source.moment
    # A clock that goes back changes nothing: ids go on from the latest moment.
    if now > moment.millisecond:
        moment = _source.advance(now)
    # One step of the interpreter: threads and signal handlers each get a number of their own.
    low = next(moment.lows)
    while low >> 48:
        moment = _source.advance(moment.millisecond + 1)
        low = next(moment.lows)
    return f"{moment.prefix}{low:012x}"


def is_id(text: str) -> bool:
    """Whether this is a UUID in its ordinary lower-case form."""
    return _ID.fullmatch(text) is not None


class _Moment:
    """The ids of one millisecond: their common beginning, and the last 48 bits that are left."""

    __slots__ = ("lows", "millisecond", "prefix")

    def __init__(self, millisecond: int) -> None:
        chance = int.from_bytes(os.urandom(14), "big")
        high, low, step = chance >> 86, chance >> 39 & _MASK_47, chance & _MASK_32 | 1
        self.millisecond = millisecond
        self.prefix = (
            f"{millisecond >> 16:08x}-{millisecond & 0xFFFF:04x}"
            f"-7{high >> 14:03x}-{0x8000 | high & 0x3FFF:04x}-"
        )
        # The start has 47 bits of the 48, a step 32: there is room for 32 768 ids at least.
        self.lows: Iterator[int] = count(low, step)


class _Source:
    """The present moment. One per process: a forked child starts with fresh randomness."""

    def __init__(self) -> None:
        self.begin()
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self.begin)

    def begin(self) -> None:
        self.lock = threading.RLock()  # a signal handler may enqueue
        self.moment = _Moment(0)

    def advance(self, millisecond: int) -> _Moment:
        """The moment of this millisecond, or the later one that somebody else has begun."""
        with self.lock:
            if self.moment.millisecond < millisecond:
                moment = _Moment(millisecond)
                # Asked again: a signal handler may have come in between.
                if self.moment.millisecond < millisecond:
                    self.moment = moment
            return self.moment


_MASK_47: Final = (1 << 47) - 1
_MASK_32: Final = (1 << 32) - 1
_source: Final = _Source()
