"""Waits for what becomes of jobs: one thread listens and looks for all who wait in a process."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from longshore.core.model import JobRecord
from longshore.core.store import Store, Watch
from longshore.errors import StoreError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Event

_LINGER: Final = 5.0  # seconds that the thread stays when nobody waits; starting it takes a while
#: In a busy store hints come all the time, and any of them may be of any job. So between two looks
#: passes a twentieth of what the last one who came has waited, but no more than this, seconds; and
#: as long as the last look took.
_PART: Final = 0.05
_CALM: Final = 0.004

#: Whether somebody wants to hear of a job that looks so; ``None``: it is not there.
Done: TypeAlias = Callable[[JobRecord | None], bool]


class Waiter(Protocol):
    """Who waits for a job, in a thread or a coroutine."""

    job_id: str
    done: Done
    poll: float
    since: float

    def tell(self, record: JobRecord | None) -> None:
        """The job as it is, or ``None``: look yourself. Called by the thread of the hub."""
        ...


class Hub:
    """Listens to a store, and at a hint looks at all jobs that somebody waits for, in one read.

    Its thread starts with the first who waits and ends some seconds after the last, or with
    :meth:`close`; the watch stays for the next. It looks without a hint too, as often as the
    settings say, for hints may be lost. When a look fails everybody is told to look himself.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        # Entered again by a signal's handler that waits for a job itself.
        self._lock = threading.RLock()
        self._waiters: set[Waiter] = set()
        self._watch: Watch | None = None
        self._runs = False
        self._came = False  # somebody whose job was not looked at yet
        self._closed = False

    def add(self, waiter: Waiter) -> None:
        """Look for this one from now on: at once, and at each hint."""
        with self._lock:
            if self._closed:
                waiter.tell(None)
                return
            self._waiters.add(waiter)
            self._came = True
            watch = self._watch
            if watch is None:
                watch = self._watch = self._store.watch()
            if not self._runs:
                self._runs = True
                threading.Thread(
                    target=self._run, args=(watch,), name="longshore-hints", daemon=True
                ).start()
                return
        watch.wake()

    def drop(self, waiter: Waiter) -> None:
        """Look no longer for this one."""
        with self._lock:
            self._waiters.discard(waiter)

    def close(self) -> None:
        """End the thread and the watch; who still waits is told to look himself."""
        with self._lock:
            self._closed = True
            watch = self._watch
            if watch is None:
                return
            if self._runs:
                watch.wake()
                return
            self._watch = None
        watch.close()

    def _run(self, watch: Watch) -> None:
        stays = False
        try:
            # Only now does the store know that we listen: what changed before was not hinted at.
            watch.wait(0)
            stays = self._listen(watch)
        finally:
            if not stays:
                self._end(watch)

    def _end(self, watch: Watch) -> None:
        """This thread was told to close, or has failed; whoever comes next begins anew."""
        with self._lock:
            left, self._waiters = self._waiters, set()
            self._runs, self._watch = False, None
        watch.close()
        for waiter in left:
            waiter.tell(None)

    def _listen(self, watch: Watch) -> bool:
        """Look for those who wait; true when nobody has for a while, false when told to close."""
        hinted, looked, took = True, 0.0, 0.0
        idle_since = time.monotonic()
        while True:
            now = time.monotonic()
            with self._lock:
                waiters = tuple(self._waiters)
                if self._closed:
                    return False
                if not waiters and now - idle_since >= _LINGER:
                    self._runs = False  # under the lock: who comes next starts another thread
                    return True
                wanted = self._came or hinted
            if not waiters:
                hinted = watch.wait(_LINGER)
                continue
            idle_since = now
            youngest = now - max(waiter.since for waiter in waiters)
            rest = looked + max(min(youngest * _PART, _CALM), took) - now
            due = looked + min(waiter.poll for waiter in waiters) - now
            if not (wanted or due <= 0):
                hinted = watch.wait(due)
            elif rest > 0:
                watch.wait(rest)
                hinted = True
            else:
                # A server may tell of one change, and of no other until it was asked again.
                hinted = watch.wait(0) and watch.wait(0)
                self._look()
                looked = time.monotonic()
                took = looked - now

    def _look(self) -> None:
        with self._lock:
            # Whoever comes from now on is not in this look.
            self._came = False
            waiters = tuple(self._waiters)
        try:
            found = self._store.run(self._store.get([waiter.job_id for waiter in waiters]))
        except StoreError:
            found = None
        for waiter in waiters:
            record = None if found is None else found.get(waiter.job_id)
            if found is None or waiter.done(record):
                self.drop(waiter)
                waiter.tell(record)


class ThreadWaiter:
    """A thread that waits for a job."""

    def __init__(self, hub: Hub, job_id: str, done: Done, poll: float) -> None:
        self.job_id, self.done, self.poll = job_id, done, poll
        self.since = time.monotonic()
        self._hub = hub
        self._event = threading.Event()
        self._record: JobRecord | None = None

    def wait(self, timeout: float | None) -> JobRecord | None:
        """Block for at most ``timeout`` seconds; the job if it is as wanted, else look yourself."""
        try:
            self._hub.add(self)
            self._event.wait(timeout)
        finally:
            self._hub.drop(self)
        return self._record

    def tell(self, record: JobRecord | None) -> None:
        """End the wait."""
        self._record = record
        self._event.set()


class CoroutineWaiter:
    """A coroutine that waits for a job; it belongs to the event loop it was made in."""

    def __init__(self, hub: Hub, job_id: str, done: Done, poll: float) -> None:
        import asyncio  # noqa: PLC0415 - 40 ms that only awaiting callers pay

        self.job_id, self.done, self.poll = job_id, done, poll
        self.since = time.monotonic()
        self._hub = hub
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._event: Event = asyncio.Event()
        self._record: JobRecord | None = None

    async def wait(self, timeout: float | None) -> JobRecord | None:
        """Await for at most ``timeout`` seconds; the job if it is as wanted, else look yourself."""
        import asyncio  # noqa: PLC0415 - imported already by who awaits

        try:
            self._hub.add(self)
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            pass
        finally:
            self._hub.drop(self)
        return self._record

    def tell(self, record: JobRecord | None) -> None:
        """Wake the coroutine, from any thread."""
        self._record = record
        with contextlib.suppress(RuntimeError):  # the loop was closed under it
            self._loop.call_soon_threadsafe(self._event.set)
