"""Held connections to one server: blocking ones, and awaiting ones for each event loop."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from longshore.errors import ClientClosed
from longshore.stores.redis.wire import AsyncLink, Link, Place, Refused, pack

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

T = TypeVar("T")

#: A link that nobody has used for so long, seconds, is looked at before it is used again: what was
#: sent over one that the server has closed would be a riddle. And one is not used after so long,
#: for something on the way may have forgotten it.
LOOK_AFTER: Final = 0.5
STALE: Final = 60.0


class Links:
    """Connections that nobody uses just now; each serves one caller at a time.

    None is carried over a fork: a child begins with none, and what it inherits is closed there
    without a word to the server.
    """

    def __init__(self, place: Place, *, cluster: bool) -> None:
        self.place = place
        self.cluster = cluster
        #: Set once and for all by :meth:`close`.
        self.closed = threading.Event()
        #: Where to ask who serves the store's slot when its server is gone.
        self._seeds = [place]
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._idle: list[tuple[Link, float]] = []
        self._waiting: weakref.WeakKeyDictionary[AbstractEventLoop, list[tuple[AsyncLink, float]]]
        self._waiting = weakref.WeakKeyDictionary()

    # --- blocking ---

    def take(self) -> Link:
        """A connection for this thread.

        Raises:
            ClientClosed: after :meth:`close`.
            Lost: nobody answers there.
            Refused: the server does not let us in.
        """
        self._look()
        idle = self._idle
        while True:
            try:
                link, since = idle.pop()
            except IndexError:
                return Link(self.place)
            if _fit(link, since):
                return link
            link.close()

    def connect(self) -> Link:
        """A connection for one alone, which closes it himself; raises as :meth:`take`."""
        self._look()
        return Link(self.place)

    def give_back(self, link: Link) -> None:
        """Keep a connection for the next."""
        if self.closed.is_set() or self._pid != os.getpid():
            link.close()
        else:
            self._idle.append((link, time.monotonic()))

    # --- awaiting ---

    async def atake(self, loop: AbstractEventLoop) -> AsyncLink:
        """A connection of this event loop; raises as :meth:`take`."""
        self._look()
        idle = self._waiting.get(loop, [])
        while idle:
            link, since = idle.pop()
            if _fit(link, since):
                return link
            link.close()
        return await AsyncLink.open(self.place)

    def agive_back(self, link: AsyncLink, loop: AbstractEventLoop) -> None:
        """Keep a connection for the next of this event loop."""
        if self.closed.is_set() or self._pid != os.getpid():
            link.close()
        else:
            self._waiting.setdefault(loop, []).append((link, time.monotonic()))

    # --- both ---

    def moved(self, refused: Refused) -> None:
        """The slot of this store is served elsewhere: ``MOVED slot host:port``."""
        host, _, port = str(refused).split(" ")[2].rpartition(":")
        self._go(host or self.place.host, int(port))

    def seek(self) -> None:
        """The server is gone or serves no writes any more: ask another that is known."""
        self._drop()
        if self.cluster:
            self._seeds.append(self._seeds.pop(0))
            self.place = self._seeds[0]

    def learn(self, slots: list[list[Any]]) -> None:
        """Remember the servers of a cluster, as ``CLUSTER SLOTS`` tells them."""
        found = {(place.host, place.port): place for place in self._seeds}
        for _, _, *nodes in slots:
            for node in nodes:
                host = node[0].decode() if node[0] else self.place.host
                port: int = node[1]
                there = msgspec.structs.replace(self.place, host=host, port=port)
                found.setdefault((host, port), there)
        self._seeds = list(found.values())

    def close(self) -> None:
        """Close what is idle; what is lent is closed when it comes back."""
        self.closed.set()
        self._drop()

    def _look(self) -> None:
        if self.closed.is_set():
            raise ClientClosed("This Longshore object was closed; make a new one to go on.")
        if self._pid != os.getpid():
            self._begin()

    def _go(self, host: str, port: int) -> None:
        self._drop()
        self.place = msgspec.structs.replace(self.place, host=host, port=port)

    def _drop(self) -> None:
        idle, self._idle = self._idle, []
        for link, _ in idle:
            link.close()
        waiting, self._waiting = self._waiting, weakref.WeakKeyDictionary()
        for links in waiting.values():
            while links:
                links.pop()[0].close()


def _fit(link: Link | AsyncLink, since: float) -> bool:
    """Whether to use this one again."""
    unused = time.monotonic() - since
    return unused < LOOK_AFTER or (unused < STALE and link.silent())


def cluster_slots() -> bytes:
    """The question whose answer :meth:`Links.learn` reads."""
    return pack(("CLUSTER", "SLOTS"))


def answered(link: Link, questions: Generator[tuple[bytes, int], list[Any], T]) -> T:
    """Ask what these want to know, blocking."""
    try:
        packed, replies = next(questions)
        while True:
            packed, replies = questions.send(link.ask(packed, replies))
    except StopIteration as done:
        value: T = done.value
        return value


async def aanswered(link: AsyncLink, questions: Generator[tuple[bytes, int], list[Any], T]) -> T:
    """Ask the same, awaiting."""
    try:
        packed, replies = next(questions)
        while True:
            packed, replies = questions.send(await link.ask(packed, replies))
    except StopIteration as done:
        value: T = done.value
        return value
