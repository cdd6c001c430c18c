"""Open connections to one SQLite file, what a fork does to them, and the watch over the file."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue

from longshore.errors import ClientClosed, StoreError, StoreGone, StoreUnavailable

#: How often a watch looks whether another connection has written, seconds: while others write again
#: within a moment, and otherwise. And how long it leaves a file alone that it cannot open.
LOOK_EVERY, MOMENT = 0.001, 1.0
LOOK_AT_REST = 0.005
LEAVE_ALONE = 0.5

#: How often it is looked whether the file is still the one that was opened, seconds.
SAME_FILE_EVERY = 0.5

#: How long a fork waits for operations of other threads, seconds.
BEFORE_FORK = 2.0


class Pool:
    """Connections that nobody uses just now; each serves one thread at a time.

    SQLite's locks do not survive a fork, and a child that inherits a connection shares its
    parent's bookkeeping of the file: what the child then writes can be lost. So all connections
    are closed before a fork and none is opened until it is over.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], path: str) -> None:
        self.connect = connect
        self._path = path
        #: Device and number of the file that was opened first; nobody works on another one.
        self._file: tuple[int, int] | None = None
        self._next_look = 0.0
        self._idle: list[sqlite3.Connection] = []
        #: By identity: one that its borrower lost is closed by nobody but the garbage collector.
        self._lent = set[int]()
        #: Of these the ones that a fork has waited for in vain: the next one does not.
        self._kept = set[int]()
        self._forking = False
        #: Set once and for all by :meth:`close`.
        self.closed = threading.Event()
        # Held over a fork; reentrant, for a signal handler may use the store. Taken directly, not
        # through the condition: that takes twice as long, and what a signal handler raises in its
        # ``__enter__``, as Ctrl-C does, would leave the lock held for good.
        self.lock = threading.RLock()
        self.gate = threading.Condition(self.lock)
        self.watches = weakref.WeakSet[SQLiteWatch]()
        _pools.add(self)

    def take(self) -> sqlite3.Connection:
        """A connection for this thread.

        Raises:
            ClientClosed: after :meth:`close`.
            StoreGone: the file was moved, deleted or replaced.
        """
        with self.lock:
            if self.closed.is_set():
                raise ClientClosed("This Longshore object was closed; make a new one to go on.")
            now = time.monotonic()
            if now >= self._next_look:
                self._look()
                self._next_look = now + SAME_FILE_EVERY
            connection = self._idle.pop() if self._idle else self.connect()
            self._lent.add(id(connection))
            return connection

    def give_back(self, connection: sqlite3.Connection, *, healthy: bool) -> None:
        """Keep a connection for the next, or close one that failed."""
        with self.lock:
            self._lent.discard(id(connection))
            self._kept.discard(id(connection))
            if self._forking:
                self.gate.notify()
            if healthy and not self.closed.is_set():
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close what is idle; what is lent is closed when it comes back."""
        with self.lock:
            self.closed.set()
            self._close_idle()
            watches = tuple(self.watches)
        for watch in watches:
            watch.close()

    def before_fork(self) -> None:
        """Close everything and let nobody in."""
        self.gate.acquire()
        # Not for ever: who forks from within an operation would wait for himself.
        self._forking = True
        self.gate.wait_for(lambda: self._lent <= self._kept, BEFORE_FORK)
        self._kept = self._lent.copy()
        self._forking = False
        self._close_idle()

    def after_fork(self) -> None:
        """Go on, in the parent."""
        self.gate.release()

    def after_fork_in_child(self) -> None:
        """Go on, in the child: threads that had borrowed something are not here."""
        self._lent.clear()
        self._kept.clear()
        self.gate.release()

    def _look(self) -> None:
        """Refuse to go on with a file that only the open connections still reach."""
        found = _identity(self._path)
        if self._file is None:
            self._file = found
        elif found != self._file:
            self._close_idle()
            what = "deleted or moved" if found is None else "replaced by another"
            raise StoreGone(
                f"{self._path}: the file was {what} while it was in use. What was written to it is"
                " where it is now. Bring it back, or start again with the file that is here."
            )

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()
        for watch in tuple(self.watches):
            watch.disconnect()

    def __del__(self) -> None:
        while self._idle:
            self._idle.pop().close()


class SQLiteWatch:
    """Looks for commits of any connection by ``PRAGMA data_version``, some microseconds a look."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        # Not an event, for the same reason that the pool's lock is taken directly.
        self._woken = SimpleQueue[None]()
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None
        self._closed = False
        self._next_try = 0.0
        self._written_at = self._lively_until = float("-inf")
        pool.watches.add(self)

    def wait(self, timeout: float) -> bool:
        """Block until somebody has written, or :meth:`wake`, or the time is over."""
        end = time.monotonic() + timeout
        while True:
            if self._changed():
                return True
            now = time.monotonic()
            left, pause = end - now, self.pause(now)
            try:
                self._woken.get(timeout=max(0.0, min(left, pause)))
            except Empty:
                if left <= pause:
                    return False
            else:
                return False

    def pause(self, now: float) -> float:
        """For how long not to look now, seconds."""
        return LOOK_EVERY if now < self._lively_until else LOOK_AT_REST

    def wake(self) -> None:
        """End the present or next wait."""
        if self._woken.empty():  # once is enough, however often it is said before the next wait
            self._woken.put(None)

    def close(self) -> None:
        """Look no more; a wait ends at once."""
        with self._pool.lock:
            self._closed = True
            self.disconnect()
        self._woken.put(None)

    def disconnect(self) -> None:
        """Close the connection, with the pool's lock held; the next look counts as a change."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._version = None

    def _changed(self) -> bool:
        with self._pool.lock:
            if self._closed or (self._connection is None and time.monotonic() < self._next_try):
                return False
            try:
                if self._connection is None:
                    self._connection = self._pool.connect()
                row = self._connection.execute("pragma data_version").fetchone()
            except (sqlite3.Error, StoreError):
                # Only a hint is lost: whoever waits looks by itself from time to time.
                self.disconnect()
                self._next_try = time.monotonic() + LEAVE_ALONE
                return False
            version: int = row[0]
            changed = version != self._version
            self._version = version
            if changed:
                now = time.monotonic()
                # One alone is mostly a beat, for which nobody has to look more often.
                if now < self._written_at + MOMENT:
                    self._lively_until = now + MOMENT
                self._written_at = now
            return changed

    def __del__(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a string, looked at twice a second
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreUnavailable(f"{path}: it cannot be reached ({error.strerror}).") from error
    return found.st_dev, found.st_ino


_pools = weakref.WeakSet[Pool]()
_forking: list[Pool] = []
#: Two threads may fork at once: the second must not take over the list of the first.
_one_fork = threading.RLock()


def _before_fork() -> None:
    _one_fork.acquire()
    _forking[:] = _pools
    for pool in _forking:
        pool.before_fork()


def _after_fork() -> None:
    while _forking:
        _forking.pop().after_fork()
    _one_fork.release()


def _after_fork_in_child() -> None:
    while _forking:
        _forking.pop().after_fork_in_child()
    _one_fork.release()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
)
