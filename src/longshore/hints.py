"""Passes a store's hints on to event loops, so that awaiting a result takes no thread each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from longshore.core.store import Watch

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Event

_LINGER = 5.0  # seconds that the thread stays when nobody awaits; starting it takes a while


class Hub:
    """One thread that listens to a store for all coroutines of the process that await a change.

    It starts with the first subscription and ends some seconds after the last, or with
    :meth:`close`. A store that fails under it costs hints, not results: who waits also polls.
    """

    def __init__(self, watch: Callable[[], Watch]) -> None:
        self._open = watch
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()
        self._watch: Watch | None = None
        self._closed = False

    def subscribe(self) -> Subscription:
        """Begin to listen, in a running event loop."""
        subscription = Subscription(self)
        with self._lock:
            self._subscriptions.add(subscription)
            if self._watch is None and not self._closed:
                self._watch = self._open()
                threading.Thread(
                    target=self._listen, args=(self._watch,), name="longshore-hints", daemon=True
                ).start()
        return subscription

    def drop(self, subscription: Subscription) -> None:
        """Listen no longer for this one."""
        with self._lock:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End the thread; who still waits is left to its poll."""
        with self._lock:
            self._closed = True
            if self._watch is not None:
                self._watch.wake()

    def _listen(self, watch: Watch) -> None:
        try:
            # Only now does the store know that we listen: what changed before was not hinted at.
            watch.wait(0)
            hinted = True
            while True:
                with self._lock:
                    if self._closed or not (hinted or self._subscriptions):
                        # Under the lock: who subscribes next finds no watch and opens another.
                        self._watch = None
                        return
                    subscriptions = tuple(self._subscriptions) if hinted else ()
                for subscription in subscriptions:
                    subscription.hint()
                hinted = watch.wait(_LINGER)
        finally:
            with self._lock:
                if self._watch is watch:
                    self._watch = None
            watch.close()


class Subscription:
    """What one coroutine waits on; it belongs to the event loop it was made in."""

    def __init__(self, hub: Hub) -> None:
        import asyncio  # noqa: PLC0415 - 40 ms that only awaiting callers pay

        self._hub = hub
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._event: Event = asyncio.Event()

    async def wait(self, timeout: float) -> bool:
        """Await a hint for at most ``timeout`` seconds; true when one came."""
        import asyncio  # noqa: PLC0415 - imported already by who awaits

        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True

    def hint(self) -> None:
        """Wake the coroutine, from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    def close(self) -> None:
        """Listen no longer."""
        self._hub.drop(self)
