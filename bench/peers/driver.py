"""What the drivers of the peers share: they run in a peer's environment, so this is plain Python.

A driver is a module with ``opened``, which gives a connected :class:`Sender` or
:class:`AwaitingSender`, with ``prepare`` where tables are needed, and with what its worker loads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from bench.ledger import Ledger

URL = os.environ.get("BENCH_URL", "")


class Sender(Protocol):
    """A connected producer; ``many`` is ``None`` where the peer has no way to store in bulk."""

    one: Callable[[int], object]
    many: Callable[[range], object] | None


class AwaitingSender(Protocol):
    """The same of a library of coroutines."""

    one: Callable[[int], Awaitable[object]]
    many: Callable[[range], Awaitable[object]] | None


class Notes:
    """The ledger of the process that runs bodies: made at the first one, so after every fork."""

    def __init__(self) -> None:
        self._ledgers: dict[int, Ledger] = {}
        self._making = threading.Lock()

    def write(self, number: int) -> None:
        """A body has begun."""
        ledger = self._ledgers.get(os.getpid())
        if ledger is None:
            with self._making:
                ledger = self._ledgers.get(os.getpid()) or self._made()
        ledger.write(number)

    def _made(self) -> Ledger:
        ledger = Ledger(Path(os.environ["BENCH_LEDGER"]), int(os.environ["BENCH_ENTRIES"]))
        self._ledgers[os.getpid()] = ledger
        return ledger
