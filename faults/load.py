"""Producers that enqueue at a rate, whatever happens, and tell the ledger what they know."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from longshore import EnqueueUncertain, LongshoreError, StoreError
from tests.ledger_tools import Ledger, Word

Kwargs = Callable[[int, random.Random], dict[str, Any]]


class Load:
    """So many jobs at a rate, by one blocking and one awaiting producer that share the numbers.

    ``of`` says for a number which declared job and with which arguments beside ``n``.
    """

    def __init__(
        self,
        ledger: Ledger,
        numbers: range,
        rate: float,
        of: Callable[[int], tuple[Any, dict[str, Any]]],
    ) -> None:
        self._ledger = ledger
        self._of = of
        self._numbers = iter(numbers)
        self._lock = threading.Lock()
        self._pace = 2 / rate
        self._end = threading.Event()
        self.acked = 0
        self.error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._live, args=(work,), name="faults-load", daemon=True)
            for work in (self._produce, lambda: asyncio.run(self._aproduce()))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> bool:
        """Whether every number was tried."""
        return not any(thread.is_alive() for thread in self._threads)

    def end(self, timeout: float) -> None:
        """Wait until every number was tried."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert self.done, "the producers are stuck"
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """Try no more numbers."""
        self._end.set()

    def _live(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self.error = error

    def _turns(self) -> Iterator[tuple[float, int]]:
        """When to enqueue which number."""
        due = time.monotonic()
        while not self._end.is_set():
            with self._lock:
                n = next(self._numbers, None)
            if n is None:
                return
            # After an outage what was due meanwhile is not made up for all at once.
            due = max(due + self._pace, time.monotonic() - 1)
            yield due, n

    def _produce(self) -> None:
        for due, n in self._turns():
            self._end.wait(max(0.0, due - time.monotonic()))
            job, kwargs = self._of(n)
            self._ledger.write(Word.ATTEMPTED, n)
            try:
                handle = job.enqueue(n, **kwargs)
            except LongshoreError as error:
                self._refused(n, error)
            else:
                self._acked(n, handle.id)

    async def _aproduce(self) -> None:
        for due, n in self._turns():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            job, kwargs = self._of(n)
            self._ledger.write(Word.ATTEMPTED, n)
            try:
                handle = await job.aenqueue(n, **kwargs)
            except LongshoreError as error:
                self._refused(n, error)
            else:
                self._acked(n, handle.id)

    def _acked(self, n: int, job_id: str) -> None:
        self._ledger.write(Word.ACKED, n, job_id)
        self.acked += 1

    def _refused(self, n: int, error: LongshoreError) -> None:
        refused(self._ledger, n, error)


def refused(ledger: Ledger, n: int, error: LongshoreError) -> None:
    """Note that a producer got an error instead of a handle."""
    # After a failure of the store nobody knows; what was refused for itself was not stored.
    doubtful = isinstance(error, StoreError | EnqueueUncertain)
    ledger.write(Word.UNCERTAIN if doubtful else Word.REFUSED, n, note=type(error).__name__)
