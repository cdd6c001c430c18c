"""Hears that there is work, or that jobs have ended: a hint only, polling must suffice."""

from __future__ import annotations

import contextlib
import math
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg import sql

from longshore.errors import StoreError
from longshore.stores.deadlines import ANSWER, CONNECT, Deadline

#: What is said when jobs just succeeded, and there is nothing else to look at.
END: Final = b"end"
#: How long after lying down to look again, seconds. Who stored something before saw nobody wait,
#: and may have committed it since, or only a little later; or had told of something just before.
ECHOES: Final = (0.0, 0.008, 0.03, 0.15)
#: Who waits for less has no need to show it, seconds: a word would reach him no sooner.
SETTLE: Final = 0.004
#: How long a server is left alone that could not be reached, seconds.
LEAVE_ALONE: Final = 1.0
#: How often the server is asked whether it still hears us, seconds: silence says nothing.
PROBE: Final = 10.0


class PostgresWatch:
    """Listens on one connection of its own; without one (``connect`` gives none) only waits.

    ``is_claiming``: whether the thread that waits claims jobs. A job that just succeeded makes no
    work, so such a one is not woken by it. Every ``probe`` seconds the connection is asked for a
    sign of life, and made anew when none comes for ``patience`` seconds. While somebody waits the
    connection shares the lock ``ear``: who stores jobs tells nobody where nobody does.
    """

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection[Any] | None],
        channel: str,
        ear: int,
        is_claiming: Callable[[], bool] = lambda: False,
        *,
        answer: float = ANSWER,
        probe: float = PROBE,
        patience: float = CONNECT,
    ) -> None:
        self._connect = connect
        self._channel = channel
        self._lock = f"select pg_advisory_lock_shared({ear})".encode()
        self._unlock = f"select pg_advisory_unlock_shared({ear})".encode()
        self._is_claiming = is_claiming
        self._answer = answer
        self._probe = probe
        self._patience = patience
        #: What the connection was asked last, since when the answer is due, and when to ask for a
        #: sign of life.
        self._asked = b""
        self._asked_at = 0.0
        self._ask_at = 0.0
        self._connection: psycopg.Connection[Any] | None = None
        self._pid = os.getpid()
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        #: Held by who waits; and for a moment by who wakes or closes.
        self._waiting = threading.Lock()
        self._mouth = threading.RLock()
        self._closed = False
        self._deaf = False
        self._next_try = 0.0
        self._echoes: list[float] = []
        self._lying = False  # it has the lock

    def wait(self, timeout: float) -> bool:
        """Block until a hint comes, or :meth:`wake`, or the time is over."""
        began = time.monotonic()
        end, settled = began + timeout, began + SETTLE
        with self._waiting:
            while not self._closed:
                listening, now = self._listening(), time.monotonic()
                if now >= settled and listening is not None:
                    listening = self._lie_down(listening, now)
                if self._echoes and self._echoes[0] <= now:
                    self._echoes.pop(0)
                    return True
                until = min(end, self._echoes[0]) if self._echoes else end
                if listening is not None:
                    until = min(until, self._probed(listening, now))
                    # Afterwards the answer to that wakes.
                    until = min(until, settled) if now < settled else until
                    listening = self._connection  # gone if it gave no sign of life
                woken, heard = self._look(listening, max(0.0, until - now))
                if woken or heard:
                    self._rise()
                    return heard
                if time.monotonic() >= end:
                    return False
            return False

    def wake(self) -> None:
        """End the present or next wait."""
        with self._mouth:
            if not self._closed:
                self._prod()

    def close(self) -> None:
        """Listen no more; a wait ends at once."""
        with self._mouth:
            if self._closed:
                return
            self._closed = True
            self._prod()
        with self._waiting:
            self._disconnect()
            os.close(self._waker)
            os.close(self._woken)

    def _look(self, listening: psycopg.Connection[Any] | None, seconds: float) -> tuple[bool, bool]:
        """Whether we were woken, and whether there was a hint, after so many seconds at most."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if listening is not None:
            try:
                poll.register(listening.fileno(), select.POLLIN)
            except psycopg.Error:  # it was found to be lost while something was sent or read
                self._lost()
                return False, False
        ready = {handle for handle, _ in poll.poll(math.ceil(seconds * 1000))}
        if self._woken in ready:
            self._drain()
            return True, False
        return False, bool(ready) and listening is not None and self._heard(listening)

    def _probed(self, listening: psycopg.Connection[Any], now: float) -> float:
        """Ask for a sign of life when it is time; returns when to see to it again."""
        if self._asked_at:
            late = self._asked_at + self._patience
            if now < late:
                return late
            self._disconnect()
        elif now < self._ask_at:
            return self._ask_at
        else:
            self._ask(listening, b"", now)
            if self._asked_at:
                return now + self._patience
        return now  # to connect anew

    def _prod(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: it is awake
            os.write(self._waker, b"\0")

    def _listening(self) -> psycopg.Connection[Any] | None:
        if self._pid != os.getpid():  # after a fork the connection is the parent's
            self._connection = None
            self._pid = os.getpid()
        if self._connection is not None or self._deaf or time.monotonic() < self._next_try:
            return self._connection
        try:
            connection = self._connect()
            if connection is None:
                self._deaf = True
                return None
            self._listen_on(connection)
        except (psycopg.Error, StoreError):
            self._next_try = time.monotonic() + LEAVE_ALONE
            return None
        self._connection, self._lying = connection, False
        self._asked_at, self._ask_at = 0.0, time.monotonic() + self._probe
        return connection

    def _listen_on(self, connection: psycopg.Connection[Any]) -> None:
        deadline = Deadline(connection.fileno(), self._answer)
        try:
            with deadline:
                connection.execute(sql.SQL("listen {}").format(sql.Identifier(self._channel)))
        except BaseException:
            deadline.close()
            connection.close()
            raise
        deadline.close()

    def _lie_down(
        self, connection: psycopg.Connection[Any], now: float
    ) -> psycopg.Connection[Any] | None:
        """Show that somebody waits; when that is so what came before is looked at."""
        if not (self._lying or self._asked_at):
            self._ask(connection, self._lock, now)
        return self._connection  # gone if it is broken

    def _rise(self) -> None:
        """Nobody waits; who has something to do does not wait for the answer."""
        if self._connection is not None and self._lying and not self._asked_at:
            self._lying = False
            self._ask(self._connection, self._unlock, time.monotonic())

    def _ask(self, connection: psycopg.Connection[Any], query: bytes, now: float) -> None:
        """Send something, one at a time; the answer is a sign of life and comes while we wait."""
        try:
            connection.pgconn.send_query(query)
            connection.pgconn.flush()
        except psycopg.Error:
            self._disconnect()
        else:
            self._asked, self._asked_at = query, now

    def _answered(self, connection: psycopg.Connection[Any]) -> None:
        while connection.pgconn.get_result() is not None:
            pass
        now = time.monotonic()
        self._asked_at, self._ask_at = 0.0, now + self._probe
        if self._asked == self._lock:
            self._lying = True
            self._echoes = [now + echo for echo in ECHOES]

    def _heard(self, connection: psycopg.Connection[Any]) -> bool:
        heard, claiming = False, self._is_claiming()
        try:
            connection.pgconn.consume_input()
            if self._asked_at and not connection.pgconn.is_busy():
                self._answered(connection)
            while (told := connection.pgconn.notifies()) is not None:
                heard = heard or not (claiming and told.extra == END)
        except psycopg.Error:
            self._lost()
        return heard

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._woken, 512):
                pass

    def _lost(self) -> None:
        self._disconnect()
        self._next_try = time.monotonic() + LEAVE_ALONE / 10

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._lying = False
        if connection is not None:
            connection.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()
