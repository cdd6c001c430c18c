"""The line in which the children of one worker stand before they claim: a few go in at a time.

Claims that a store carries out side by side are in each other's way: each passes over what all the
others hold, and the longer they take the more that is. Sixty of them take a server longer than
sixty in a row. So children share as many tokens as claims are of use at once. Who has one claims,
and passes it on to who has waited longest.

Tokens lie in a socket: a child takes one by receiving and gives it back by sending, and the system
wakes one of those who wait, who came first before others. On its page a child says where it stands,
so that its supervisor puts back the token of one that died with it. Whoever gets none for a while
goes in without: a child that is stopped with a token makes the others slower, and no more.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import time
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Protocol

#: Claims of one worker are of use side by side as long as there are processors for them: at least,
#: and at most, so many.
FEWEST, MOST = 2, 8
#: Of those who stand in line each asks for as much as if only one in so many did: none waits for
#: long.
SHARE: Final = 8
#: For how long a child waits for a token, seconds, and for which part of its lease at most.
PATIENCE, PART = 4.0, 0.25
#: So long at a time, seconds: ends of jobs are reported meanwhile, and orders are heard.
SLICE: Final = 0.1
#: So long a child may claim again and again before it stands in line anew, seconds: to report what
#: has ended and claim the next in one call costs half of two calls, and little is in order for it.
STRETCH: Final = 0.05
#: Who has gone out lets those come first who are woken by that; it takes them so long, seconds.
COURTESY: Final = 0.0005
#: How often the supervisor looks, seconds, and how many looks show how many tokens there are.
LOOK_EVERY, LOOKS = 0.5, 20

_TOKEN: Final = b"."


class Place(IntEnum):
    """Where a child stands."""

    OUTSIDE = 0
    WAITING = 1
    INSIDE = 2  # and it has a token
    LEAVING = 3  # and still has it, or has just given it back


def abreast() -> int:
    """How many children of one worker may claim at a time."""
    return max(FEWEST, min(MOST, os.cpu_count() or FEWEST))


class Turnstile:
    """The tokens of one worker; its supervisor's.

    Args:
        tokens: how many children may claim at a time; with none nobody waits.
    """

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._ends: tuple[socket.socket, ...] = ()
        self._looks = self._most = 0
        self._next_look = 0.0
        if tokens:
            self._ends = socket.socketpair(type=socket.SOCK_DGRAM)
            _blocking(*self._ends)
            self._put(tokens)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a child needs of it: where tokens come from, and where they go to."""
        return tuple(end.fileno() for end in self._ends)

    def callers(self, processes: int, mine: int) -> int:
        """By how many a claim should share what there is, of all processes on a store.

        ``mine``: those that stand in this line.
        """
        if not self._tokens:
            return processes
        return max(0, processes - mine) + min(mine, max(self._tokens, mine // SHARE))

    def died(self, place: int) -> None:
        """A child has died where it stood."""
        if place in (Place.INSIDE, Place.LEAVING):
            self._put(1)

    def look(self, places: Sequence[int], now: float) -> None:
        """See to it that there are as many tokens as there should be.

        ``places``: where the children stand ``now``. One that dies between taking a token and
        saying so takes it along; one that dies after it gave its token back, and before it said so,
        leaves one too many.
        """
        if not self._tokens or now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY
        if not any(places):
            self._take_all()
            self._put(self._tokens)
        if Place.WAITING not in places:
            self._looks = self._most = 0
            return
        # Some may have been woken and not come in yet: so one look shows nothing.
        self._looks += 1
        self._most = max(self._most, list(places).count(Place.INSIDE))
        if self._looks == LOOKS:
            # Where some lie there nobody waits for want of them: the one that does is stopped.
            self._put(self._take_all() or max(0, self._tokens - self._most))
            self._looks = self._most = 0

    def close(self) -> None:
        """Close this side of it."""
        for end in self._ends:
            end.close()

    def _take_all(self) -> int:
        there = 0
        while _took(self._ends[0]):
            there += 1
        return there

    def _put(self, tokens: int) -> None:
        for _ in range(tokens):
            _put_one(self._ends[1])


class Passing(Protocol):
    """What an engine goes through before it claims."""

    @property
    def waits(self) -> bool: ...
    @property
    def until(self) -> float: ...
    def left(self, now: float) -> float: ...
    def enter(self, *, hurry: bool = False) -> bool: ...
    def leave(self, *, back: bool = False) -> None: ...


class Free:
    """Of a process that has no siblings: it never waits."""

    waits = False
    until = math.inf

    def left(self, now: float) -> float:  # noqa: ARG002 - as above
        """For ever."""
        return math.inf

    def enter(self, *, hurry: bool = False) -> bool:  # noqa: ARG002 - as who has to wait
        """At once."""
        return True

    def leave(self, *, back: bool = False) -> None:
        """Nothing to give back."""


class Page(Protocol):
    """Where a child says where it stands."""

    def stand(self, place: int) -> None: ...


class Passage:
    """A child's way through the turnstile.

    Args:
        inner: the descriptor from which tokens come; this takes it over.
        outer: the one to which they go.
        page: where to say where this child stands.
        lease: of the process, seconds.
    """

    def __init__(self, inner: int, outer: int, page: Page, lease: float) -> None:
        self._inner = socket.socket(fileno=inner)
        self._outer = socket.socket(fileno=outer)
        _blocking(self._inner, self._outer)
        self._page = page
        self._patience = min(PATIENCE, PART * lease)
        self._since: float | None = None
        self._token = False
        #: Until when it may go on claiming, once it was let in.
        self.until = 0.0
        self._left_at = 0.0
        # Those who wait are woken in the order in which they began to, and one at a time.
        self._row = select.epoll() if hasattr(select, "EPOLLEXCLUSIVE") else None

    @property
    def waits(self) -> bool:
        """Whether it stands in line."""
        return self._since is not None and not self._token

    def enter(self, *, hurry: bool = False) -> bool:
        """Stand in line for a moment, behind those who came before; whether it may go in now.

        Until it may, or leaves, it keeps its place there. ``hurry``: it only looks.
        """
        began = time.monotonic()
        if self._token and began >= self.until:
            self.leave()
        if self._since is None:
            self._since = began
            if not self._line_up(began, hurry=hurry):
                return False
        if not (self._token or self._took()):
            if not hurry:
                self._wait()
            if not self._took():
                if time.monotonic() < self._since + self._patience:
                    return False
                self._page.stand(Place.OUTSIDE)  # it has no token to lose
        return True

    def left(self, now: float) -> float:
        """For how long it may stay inside, seconds; who is not inside may do as he likes."""
        return max(0.0, self.until - now) if self._token else math.inf

    def leave(self, *, back: bool = False) -> None:
        """Come out again, or give up the place in the line.

        ``back``: it claims again so soon that others may wait for it, for a stretch.
        """
        if self._since is None or (back and self._token and time.monotonic() < self.until):
            return
        if self._row is not None:
            with contextlib.suppress(FileNotFoundError):  # it went in without waiting
                self._row.unregister(self._inner.fileno())
        if self._token:
            # One that dies here leaves a token too many: better than one too few.
            self._page.stand(Place.LEAVING)
            _put_one(self._outer)
            self._left_at = time.monotonic()
        self._page.stand(Place.OUTSIDE)
        self._since, self._token, self.until = None, False, 0.0

    def close(self) -> None:
        """Close this side of it."""
        for one in (self._inner, self._outer, self._row):
            if one is not None:
                one.close()

    def _line_up(self, began: float, *, hurry: bool) -> bool:
        """Take a place in the line; whether it may look for a token now."""
        self._page.stand(Place.WAITING)
        courteous = began < self._left_at + COURTESY
        if courteous and not hurry:
            select.select((), (), (), COURTESY)
        looks = not (courteous and hurry)
        if self._row is not None and not (looks and self._took()):
            self._row.register(self._inner.fileno(), select.EPOLLIN | select.EPOLLEXCLUSIVE)
        return looks

    def _took(self) -> bool:
        self._token = _took(self._inner)
        if self._token:
            self._page.stand(Place.INSIDE)
            self.until = time.monotonic() + STRETCH
        return self._token

    def _wait(self) -> None:
        if self._row is not None:
            self._row.poll(SLICE)
        else:
            select.select([self._inner], [], [], SLICE)


def _blocking(*sockets: socket.socket) -> None:
    """Whatever the default timeout of the application is: each call here says by itself."""
    for one in sockets:
        one.settimeout(None)


def _took(inner: socket.socket) -> bool:
    try:
        return bool(inner.recv(1, socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False


def _put_one(outer: socket.socket) -> None:
    # It holds hundreds: where it is full there are more than enough.
    with contextlib.suppress(OSError):
        outer.send(_TOKEN, socket.MSG_DONTWAIT)
