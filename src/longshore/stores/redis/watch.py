"""Waiting for a word from the server: work has come, or a job has ended. Only ever a hint."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Generator
from typing import Any, Final, Protocol

from longshore.core.store import Claim, Operation
from longshore.errors import StoreError
from longshore.stores.deadlines import CONNECT
from longshore.stores.redis.links import Links
from longshore.stores.redis.scripts import SCRIPTS, Call
from longshore.stores.redis.wire import Link, Lost, Refused, checked, pack

#: How long the server lets us wait in one go, seconds: longer silence means a broken connection.
#: A process that is frozen while a claim of it stands is given jobs for no longer than this.
ROUND: Final = 2
#: How long to wait for what the server has sent, seconds, or as many times as it took to tell it.
SOON: Final = 0.1
ROUND_TRIPS: Final = 10
#: How long a server is left alone that could not be reached.
LEAVE_ALONE: Final = 0.5


class Ears(Protocol):
    """What a watch needs of its store."""

    def is_claiming(self) -> bool:
        """Whether this thread claims jobs."""
        ...

    def heard(self, ear: str, *, work: bool) -> None:
        """This ear waits for work, or not any more."""
        ...

    def standing(self, call: Call) -> bytes | None:
        """A claim as it is sent; nothing where one cannot be left with the server."""
        ...

    def forget(self, watch: RedisWatch) -> None:
        """This watch is over."""
        ...


class RedisWatch:
    """One list on the server, on which one thread waits with ``BLPOP``.

    Who waits is told once, by the next script that has something to tell, and then no more until he
    waits again. A thread that also claims hears of work alone; its claims that find little tell the
    server by themselves that it will wait, so that nothing comes in between.

    A claim that is to stand until work comes is sent behind the ``BLPOP``: a server carries out
    what one connection asks in its order, so it comes to the claim when it has answered that.
    """

    def __init__(self, links: Links, base: bytes, ears: Ears) -> None:
        self.id = secrets.token_hex(8)
        self._links = links
        self._ears = ears
        self._base = base
        key = base + b"wake:" + self.id.encode()
        self._blpop = pack(("BLPOP", key, ROUND))
        self._push = pack(("RPUSH", key, "1")) + pack(("EXPIRE", key, 60))
        self._link: Link | None = None
        self._pid = 0
        self._asked_at = 0.0
        self._pending = False  # the server owes an answer to a BLPOP
        self._next_try = 0.0
        self._asked: Generator[Call, Any, Claim] | None = None
        self._brought: Claim | None = None
        self._closed = False
        # A pair of sockets, for what a thread waits on beside a socket must be one.
        self._heard, self._say = socket.socketpair()
        self._heard.setblocking(False)  # noqa: FBT003 - the name of the parameter is private
        self._say.setblocking(False)  # noqa: FBT003
        self._waiting = threading.Lock()

    def wait(self, timeout: float) -> bool:
        """Block until the server has a word for us, or :meth:`wake`, or the time is over."""
        end = time.monotonic() + timeout
        with self._waiting:
            while not self._closed:
                left, stood = max(0.0, end - time.monotonic()), self.asked
                if self._listening():
                    if stood and not self.asked:
                        return True  # it was lost: whoever left it has to leave another
                    hint = self._hinted(min(left, self._silence()))
                    if hint is not None:
                        return hint
                elif self._woken(min(left, LEAVE_ALONE)):
                    return False
                if time.monotonic() >= end:
                    return False
        return False

    def wake(self) -> None:
        """End the present or next wait at once."""
        with contextlib.suppress(BlockingIOError, OSError):
            self._say.send(b"w")

    def close(self) -> None:
        """Wait no more; a wait ends at once."""
        self._closed = True
        if self._pid not in (0, os.getpid()):
            self._drop()  # the thread that waits is in the parent: here nobody gives back its lock
            return
        self.wake()
        self._ears.forget(self)
        # The thread that waits must not find its socket closed under it.
        with self._waiting:
            self._hush()
            self._heard.close()
            self._say.close()

    # --- a claim that stands ---

    @property
    def asked(self) -> bool:
        """Whether a claim lies with the server that was not answered yet."""
        return self._asked is not None

    def ask(self, op: Operation[Claim]) -> bool:
        """Leave this claim with the server; false where that cannot be just now."""
        with self._waiting:
            if self._closed or self._asked is not None or not self._listening():
                return False
            assert self._link is not None  # noqa: S101 - over it we listen
            steps = op.start()
            packed = self._ears.standing(next(steps))
            if packed is None:
                return False
            try:
                self._link.send(packed)
            except Lost:
                self._drop()
                return False
            self._asked, self._brought = steps, None
            return True

    def recall(self) -> None:
        """Have it carried out now; returns when it is answered, or known to be lost."""
        with self._waiting:
            if self._asked is None:
                return
            began = time.monotonic()
            try:
                self._say_to_server()
                # It was carried out by now: who does not hear of it soon hears nothing any more.
                took = time.monotonic() - began
                self._answered(min(CONNECT, max(SOON, ROUND_TRIPS * took)))
            except (Lost, Refused, StoreError):
                self._drop()
                self._next_try = time.monotonic() + LEAVE_ALONE

    def _say_to_server(self) -> None:
        """A word as any other; if one is on its way just now, the next wait finds this."""
        link = self._links.take()
        try:
            for reply in link.ask(self._push, 2):
                checked(reply)
        except BaseException:
            link.close()
            raise
        self._links.give_back(link)

    def brought(self) -> Claim | None:
        """The answer, once; nothing if it was lost."""
        claim, self._brought = self._brought, None
        return claim

    def drop(self) -> None:
        """Give it up: what it has claimed, if it has, is not known here."""
        with self._waiting:
            if self._asked is not None:
                self._drop()

    def _answered(self, within: float | None = None) -> bool:
        """Read the word that is there, and what the claim has brought; whether there was one.

        Raises:
            Lost: also when nothing comes ``within`` so many seconds.
        """
        assert self._link is not None  # noqa: S101 - it was asked over it
        if within is not None and not self._link.ready([], within):
            raise Lost("nothing comes over this connection", sent=True)
        word = checked(self._link.reply())
        self._pending = False
        if self._asked is None:
            return word is not None
        steps, reply = self._asked, self._link.reply()
        self._asked = None
        try:
            steps.send(checked(reply))
        except StopIteration as done:
            self._brought = done.value
        except Refused:
            pass  # whoever claims the usual way learns why, and what to do about it
        return True

    # --- helpers ---

    def _listening(self) -> bool:
        """Whether the server was asked, now or before."""
        if self._link is not None and self._pid != os.getpid():
            self._drop()  # the parent's; its answer is not for us
        if self._pending and time.monotonic() - self._asked_at > ROUND + CONNECT:
            self._drop()
        if self._pending:
            return True
        if time.monotonic() < self._next_try:
            return False
        work = self._ears.is_claiming()
        self._ears.heard(self.id, work=work)
        topic = "work" if work else "all"
        listen = SCRIPTS["listen"]
        asked = pack(("EVALSHA", listen.sha, 1, self._base, "0", "", "", self.id, topic))
        try:
            if self._link is None:
                self._link = self._links.connect()
                self._pid = os.getpid()
            self._link.send(asked + self._blpop)
            checked(self._link.reply())
        except (Lost, Refused, StoreError):
            # Only a hint is lost: whoever waits looks by himself from time to time.
            self._drop()
            self._next_try = time.monotonic() + LEAVE_ALONE
            return False
        self._pending, self._asked_at = True, time.monotonic()
        return True

    def _hinted(self, timeout: float) -> bool | None:
        """Wait; whether the server had a word, ``None`` when nobody had."""
        assert self._link is not None  # noqa: S101 - it was asked over it
        if self._link.ready([self._heard.fileno()], timeout):
            try:
                return self._answered() or None
            except (Lost, Refused) as error:
                asked = self.asked
                self._drop()
                if isinstance(error, Refused):
                    # It answers, and refuses all that writes: asked again at once, it would too.
                    self._next_try = time.monotonic() + LEAVE_ALONE
                # Whoever left a claim has to leave another.
                return asked or None
        return False if self._woken(0) else None

    def _silence(self) -> float:
        return max(0.0, self._asked_at + ROUND + CONNECT - time.monotonic())

    def _woken(self, timeout: float) -> bool:
        """Whether somebody of this process spoke."""
        if timeout > 0:
            self._heard.settimeout(timeout)
        try:
            said = self._heard.recv(4096)
        except (BlockingIOError, TimeoutError):
            return False
        finally:
            self._heard.setblocking(False)  # noqa: FBT003
        return bool(said)

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link, self._pending, self._asked = None, False, None

    def _hush(self) -> None:
        """Leave nothing behind on the server."""
        if self._link is not None and self._pid == os.getpid() and not self._pending:
            with contextlib.suppress(Lost):
                self._link.send(
                    pack(("EVALSHA", SCRIPTS["hush"].sha, 1, self._base, "0", "", "", self.id))
                )
        self._drop()
