"""A server that crashes and comes back under load, and the accounts afterwards.

Producers note what they tried, what was acknowledged and what nobody knows; jobs note in a ledger
outside the store that they ran. Whatever was acknowledged must have run once, and within five
seconds of the server's return every client must be at work again.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longshore import EnqueueUncertain, JobState, StoreError
from longshore.core.store import Filter
from tests.harbour_tools import Harbour, eventually
from tests.places import place
from tests.servers import Server, private

BACK = 5.0  # seconds after its return in which every client must be at work
PACE = 0.005
ACKNOWLEDGED = "the run of every job whose enqueue was acknowledged"
CHILDREN = 2


class Producer:
    """Enqueues until it is told to end, whatever happens; every number is used once."""

    def __init__(
        self, harbour: Harbour, numbers: range, *, awaiting: bool, pace: float = PACE
    ) -> None:
        self.pace = pace
        self.job = harbour.app.count
        self.numbers = iter(numbers)
        self.tried: set[int] = set()
        self.acked: dict[int, float] = {}
        self.doubtful: list[tuple[int, str]] = []
        self.error: BaseException | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(awaiting,))
        self._thread.start()

    def end(self, *, strict: bool = True) -> None:
        self._end.set()
        self._thread.join(30)
        if strict:
            assert not self._thread.is_alive()
            if self.error is not None:
                raise self.error

    def acked_since(self, moment: float) -> bool:
        return any(acked > moment for acked in list(self.acked.values())[-10:])

    def _live(self, awaiting: bool) -> None:
        try:
            if awaiting:
                asyncio.run(self._aproduce())
            else:
                self._produce()
        except BaseException as error:  # noqa: BLE001 - raised where it is joined
            self.error = error

    def _produce(self) -> None:
        while not self._end.wait(self.pace):
            n = self._next()
            try:
                self.job.enqueue(n)
            except (StoreError, EnqueueUncertain) as error:
                self._doubt(n, error)
            else:
                self.acked[n] = time.monotonic()

    async def _aproduce(self) -> None:
        while not self._end.is_set():
            await asyncio.sleep(self.pace)
            n = self._next()
            try:
                await self.job.aenqueue(n)
            except (StoreError, EnqueueUncertain) as error:
                self._doubt(n, error)
            else:
                self.acked[n] = time.monotonic()

    def _next(self) -> int:
        n = next(self.numbers)
        self.tried.add(n)
        return n

    def _doubt(self, n: int, error: Exception) -> None:
        self.doubtful.append((n, f"{type(error).__name__}: {error}"))


class Load:
    """A worker with two children, a blocking and an awaiting producer, on one server."""

    def __init__(self, harbour: Harbour, server: Server, pace: float) -> None:
        self.harbour = harbour
        self.server = server
        #: How long the slowest client took to come back, for each crash, seconds.
        self.back: list[float] = []
        harbour.worker(processes=CHILDREN, threads=2)
        harbour.await_ready(CHILDREN)
        self.producers = [
            Producer(harbour, range(1_000_000), awaiting=False, pace=pace),
            Producer(harbour, range(1_000_000, 2_000_000), awaiting=True, pace=pace),
        ]

    def crash(self, down: float = 0.0, after: int = 50) -> None:
        """Crash ``after`` more jobs, for ``down`` seconds; then wait until all clients are back."""
        before = len(self.ran())
        eventually(lambda: len(self.ran()) > before + after, 30, "work before the crash")
        self.server.kill()
        threading.Event().wait(down)
        self.server.start()
        up = time.monotonic()
        eventually(lambda: self._all_back(up), BACK, "the return of every client")
        self.back.append(time.monotonic() - up)

    def ran(self) -> list[tuple[float, int, int]]:
        """When, in which process and which number, of each job that ran."""
        return [
            (float(at), int(pid), int(n))
            for at, pid, what, n, *_ in self.harbour.lines()
            if what == "count"
        ]

    def settle(self, within: float = 30) -> None:
        """End the load, wait for what is left and check the accounts."""
        for producer in self.producers:
            producer.end()
        acked = {n for producer in self.producers for n in producer.acked}
        tried = {n for producer in self.producers for n in producer.tried}
        eventually(lambda: acked <= {n for _, _, n in self.ran()}, within, ACKNOWLEDGED)
        store = self.harbour.jobs.store
        live = Filter(states=frozenset(set(JobState) - {JobState.SUCCEEDED}))
        eventually(lambda: not self._counted(live), 30, "the end of the last job")
        times = Counter(n for _, _, n in self.ran())
        assert times.keys() <= tried, "what ran was asked for"
        twice = sorted(n for n, often in times.items() if often > 1)
        assert not twice, f"ran twice: {twice[:10]}; {self.harbour.logs()[-3000:]}"
        stored = sum(counted.jobs for counted in store.run(store.count(Filter())))
        assert stored == len(times), "every stored job ran, and every job that ran is stored"
        assert "Traceback" not in self.harbour.logs(), self.harbour.logs()

    def stop(self) -> None:
        for producer in self.producers:
            producer.end(strict=False)

    def _counted(self, where: Filter) -> int:
        store = self.harbour.jobs.store
        return sum(counted.jobs for counted in store.run(store.count(where)))

    def _all_back(self, up: float) -> bool:
        working = {pid for at, pid, _ in self.ran() if at > up}
        return len(working) >= CHILDREN and all(
            producer.acked_since(up) for producer in self.producers
        )


@contextmanager
def under_load(
    kind: str, folder: Path, *, lease: float = 15, durable: bool = True, pace: float = PACE
) -> Iterator[Load]:
    """A server of one's own with a worker and producers on it."""
    with private(kind, durable=durable) as server, place(kind, folder, server) as where:
        harbour = Harbour(folder, lease=lease, **where.environment)
        load = None
        try:
            load = Load(harbour, server, pace)
            yield load
        finally:
            if load is not None:
                load.stop()
            harbour.stop()
