"""The line in which the children of one worker stand before they claim: a few go in at a time.

Claims that a store carries out side by side are in each other's way: each passes over what all the
others hold, and the longer they take the more that is. Sixty of them take a server longer than
sixty in a row. So children share as many tokens as claims are of use at once. Who has one claims,
and passes it on to who has waited longest.

Tokens lie in a socket: a child takes one by receiving, for which the system lets children wait in a
row, and gives it back by sending. On its page a child says where it stands, so that its supervisor
puts back the token of one that died with it. Whoever gets none for a while goes in without: a child
that is stopped with a token makes the others slower, and no more.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import AbstractContextManager
from enum import IntEnum
from types import TracebackType
from typing import Final, Protocol

#: Claims of one worker are of use side by side as long as there are processors for them: at least,
#: and at most, so many.
FEWEST, MOST = 2, 8
#: Of those who stand in line each asks for as much as if only one in so many did: none waits for
#: long.
SHARE: Final = 4
#: For how long a child waits for a token, seconds, and for which part of its lease at most: by the
#: turns of its store thread its supervisor sees that it makes progress.
PATIENCE, PART = 4.0, 0.25
#: So often in a row nobody may be seen inside before a token counts as lost.
LOOKS: Final = 3

_TOKEN: Final = b"."


class Place(IntEnum):
    """Where a child stands."""

    OUTSIDE = 0
    WAITING = 1
    INSIDE = 2  # and it has a token


def abreast() -> int:
    """How many children of one worker may claim at a time."""
    return max(FEWEST, min(MOST, os.cpu_count() or FEWEST))


class Turnstile:
    """The tokens of one worker; its supervisor's.

    Args:
        tokens: how many children may claim at a time.
    """

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._suspects = 0  # children that died while they waited, perhaps with a token
        self._looks = 0
        self._inner, self._outer = socket.socketpair(type=socket.SOCK_DGRAM)
        for _ in range(tokens):
            _put(self._outer)

    @property
    def descriptors(self) -> tuple[int, int]:
        """What a child needs of it: where tokens come from, and where they go to."""
        return self._inner.fileno(), self._outer.fileno()

    def callers(self, processes: int, mine: int) -> int:
        """By how many a claim should share what there is, of all processes on a store.

        ``mine``: those that stand in this line.
        """
        return max(0, processes - mine) + min(mine, max(self._tokens, mine // SHARE))

    def died(self, place: int) -> None:
        """A child has died where it stood."""
        if place == Place.INSIDE:
            _put(self._outer)
        elif place == Place.WAITING:
            self._suspects += 1

    def look(self, places: Sequence[int]) -> None:
        """Replace a token that was lost; ``places``: where the children stand.

        A child that died after it took a token and before it said so took it along. Others wait
        then, and in the end nobody is inside.
        """
        lost = self._suspects and Place.INSIDE not in places and Place.WAITING in places
        self._looks = self._looks + 1 if lost else 0
        if self._looks >= LOOKS:
            self._suspects -= 1
            self._looks = 0
            _put(self._outer)

    def close(self) -> None:
        """Close this side of it."""
        self._inner.close()
        self._outer.close()


class Passing(AbstractContextManager[None], Protocol):
    """What an engine puts around its claims."""

    def hurry(self) -> None: ...


class Free:
    """Of a process that has no siblings: it need not wait."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def hurry(self) -> None:
        """Nothing."""


class Page(Protocol):
    """Where a child says where it stands."""

    def stand(self, place: int) -> None: ...


class Passage:
    """A child's way through the turnstile: a context around each of its claims.

    Args:
        inner: the descriptor from which tokens come; this takes it over.
        outer: the one to which they go.
        page: where to say where this child stands.
        lease: of the process, seconds.
    """

    def __init__(self, inner: int, outer: int, page: Page, lease: float) -> None:
        self._inner = socket.socket(fileno=inner)
        self._outer = socket.socket(fileno=outer)
        self._page = page
        self._waiting = False
        self._token = False
        self._leaving = False
        # Not by Python's own timeout, which polls: each token would wake all who wait.
        seconds, rest = divmod(min(PATIENCE, PART * lease), 1)
        limit = struct.pack("@ll", int(seconds), int(rest * 1_000_000) or 1)
        self._inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)

    def __enter__(self) -> None:
        self._page.stand(Place.WAITING)
        self._waiting, self._token = not self._leaving, False
        if self._waiting:
            with contextlib.suppress(BlockingIOError):
                self._token = bool(self._inner.recv(1))
        self._waiting = False
        self._page.stand(Place.INSIDE if self._token else Place.OUTSIDE)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # In this order: one that dies in between has given its token back, and not kept it.
        self._page.stand(Place.OUTSIDE)
        if self._token and not self._leaving:
            _put(self._outer)

    def hurry(self) -> None:
        """This process is to end: it waits no more. Called from another thread."""
        if not self._leaving:
            self._leaving = True
            if self._waiting:
                _put(self._outer)  # the one that it takes then it does not give back


def _put(outer: socket.socket) -> None:
    # Where it is full there are more than enough.
    with contextlib.suppress(OSError):
        outer.send(_TOKEN, socket.MSG_DONTWAIT)
