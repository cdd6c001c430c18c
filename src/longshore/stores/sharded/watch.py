"""A watch over several stores: each is listened to by a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from longshore.core.store import Store, Watch
from longshore.errors import StoreError

#: How long a thread listens before it looks whether it is still wanted, seconds.
_LISTEN = 5.0

#: How long a store is left alone whose watch does not wait, as when it is down, seconds.
_LEAVE_ALONE = 0.5


class ShardedWatch:
    """Ends a wait when any shard hints. Its threads start with the first wait."""

    def __init__(self, shards: Sequence[Store]) -> None:
        self._shards = shards
        self._event = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._watches: list[Watch] | None = None
        self._hinted = False

    def wait(self, timeout: float) -> bool:
        """Block for at most ``timeout`` seconds; true after a hint from a shard."""
        self._listen()
        self._event.wait(timeout)
        # Cleared before the hint is read: a hint in between ends the next wait, none is lost.
        self._event.clear()
        hinted, self._hinted = self._hinted, False
        return hinted

    def wake(self) -> None:
        """End the present or next wait."""
        self._event.set()

    def close(self) -> None:
        """Listen no more; a wait ends at once."""
        with self._lock:
            self._ended.set()
            watches, self._watches = self._watches or [], []
        for watch in watches:
            watch.close()
        self._event.set()

    def _listen(self) -> None:
        with self._lock:
            if self._watches is not None or self._ended.is_set():
                return
            self._watches = [shard.watch() for shard in self._shards]
            for watch in self._watches:
                threading.Thread(
                    target=self._hear, args=(watch,), name="longshore-watch", daemon=True
                ).start()

    def _hear(self, watch: Watch) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                hinted = watch.wait(_LISTEN)
            except StoreError:
                hinted = False  # only a hint is lost: whoever waits also looks by itself
            if hinted:
                self._hinted = True
                self._event.set()
            elif time.monotonic() - began < _LISTEN / 2:
                self._ended.wait(_LEAVE_ALONE)
