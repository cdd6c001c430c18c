"""Open connections that nobody uses just now, and what a fork does to them."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable

from longshore.errors import ClientClosed
from longshore.stores.mysql.driver import Connection


class Pool:
    """Connections kept for the next; each serves one thread at a time.

    A connection belongs to the process that opened it: a child of a fork that wrote into it, or
    said goodbye over it, would speak in its parent's name. So the child forgets them all.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._idle = deque[Connection]()
        #: Set once and for all by :meth:`close`.
        self.closed = threading.Event()
        _pools.add(self)

    def take(self) -> Connection:
        """A connection for this thread.

        Raises:
            ClientClosed: after :meth:`close`.
        """
        if self.closed.is_set():
            raise ClientClosed("This Longshore object was closed; make a new one to go on.")
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def give_back(self, connection: Connection, *, healthy: bool) -> None:
        """Keep a connection for the next, or close one that failed."""
        if healthy and not self.closed.is_set():
            self._idle.append(connection)
            if not self.closed.is_set():
                return
            self.close_idle()
        else:
            close_quietly(connection)

    def close(self) -> None:
        """Close what is idle; what is lent is closed when it comes back."""
        self.closed.set()
        self.close_idle()

    def after_fork_in_child(self) -> None:
        """Begin without connections; those of the parent are kept, untouched, until the end."""
        _inherited.extend(self._idle)
        self._idle = deque[Connection]()
        closed, self.closed = self.closed, threading.Event()
        if closed.is_set():
            self.closed.set()

    def close_idle(self) -> None:
        """Close what is idle: after one connection was lost, the others probably are too.

        Not where a new one was refused. What a process has may be all that it gets.
        """
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            close_quietly(connection)

    def __del__(self) -> None:
        self.close_idle()


def close_quietly(connection: Connection) -> None:
    """Close a connection that may be broken already."""
    # Each driver has errors of its own for what is closed.
    with contextlib.suppress(Exception):
        connection.close()


_pools = weakref.WeakSet[Pool]()
_inherited: list[Connection] = []


def _after_fork_in_child() -> None:
    for pool in tuple(_pools):
        pool.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)
