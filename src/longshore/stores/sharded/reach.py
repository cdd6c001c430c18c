"""Visits to shards: one after the other or at once, and what is done while one does not answer.

A shard that cannot be reached is left alone at once by everybody who asks, while a thread in the
background tries it; the others go on. Both moments are told in the log ``longshore.shards``.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import msgspec

from longshore.core.store import Operation, Store
from longshore.errors import ClientClosed, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

log: Final = logging.getLogger("longshore.shards")

#: How long a shard that is down is left alone before it is tried again, seconds; then twice that.
FIRST_TRY: Final = 0.25
LAST_TRY: Final = 2.0


class Visit(msgspec.Struct, frozen=True):
    """One operation for one shard; ``wait``, seconds: a blocking program waits no longer for it.

    An answer that comes later goes unheard. Until then no other visit that is not waited for goes
    to the same shard.
    """

    shard: int
    op: Operation[Any]
    wait: float | None = None


class Failed(msgspec.Struct, frozen=True):
    """In the place of an answer: what the shard, or the way to it, raised.

    ``asked`` is false where the shard was known to be down: it has surely done nothing.
    """

    shard: int
    error: StoreError
    asked: bool = True


def failed(reply: object) -> TypeGuard[Failed]:
    """Whether this is no answer."""
    return isinstance(reply, Failed)


class Reach:
    """The shards, and which of them cannot be reached just now. It ends with :meth:`close`."""

    def __init__(self, shards: Sequence[Store]) -> None:
        self.shards = tuple(shards)
        self._at_once = all(shard.shared for shard in shards)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._begin()

    def _begin(self) -> None:
        """Know nothing of any shard; so does a forked child, in which no thread tries them."""
        self._pid = os.getpid()
        self._down: dict[int, StoreError] = {}
        #: Since when shards that were down answer again, by the monotonic clock.
        self.back: dict[int, float] = {}
        self._pool: ThreadPoolExecutor | None = None
        #: Visits that were not waited for and have not ended.
        self._late: dict[int, Future[Any]] = {}

    @property
    def down(self) -> dict[int, StoreError]:
        """The shards that cannot be reached, and why."""
        if self._pid != os.getpid():
            self._begin()
        return self._down

    def label(self, shard: int) -> str:
        """A shard as people read it."""
        return f"shard {shard:02d} ({self.shards[shard].address})"

    def visit_all(self, visits: Sequence[Visit]) -> list[Any]:
        """Visit shards, blocking; an answer or a :class:`Failed` for each."""
        alone = len(visits) == 1 and visits[0].wait is None
        if alone or not self._at_once:
            return [self._visit(visit) for visit in visits]
        try:
            sent = [self._send(visit) for visit in visits]
        except RuntimeError:  # the interpreter shuts down and takes no more work
            return [self._visit(visit) for visit in visits]
        now = time.monotonic()
        return [self._hear(visit, answer, now) for visit, answer in zip(visits, sent, strict=True)]

    async def avisit_all(self, visits: Sequence[Visit]) -> list[Any]:
        """Visit shards, awaiting, all at once."""
        if len(visits) == 1:
            return [await self._avisit(visits[0])]
        import asyncio  # noqa: PLC0415 - blocking programs need not load it

        return await asyncio.gather(*(self._avisit(visit) for visit in visits))

    def close(self) -> None:
        """Try no shard any more and close them all."""
        self._closed.set()
        pool, self._pool = self._pool, None
        if pool is not None and self._pid == os.getpid():
            pool.shutdown()
        for shard in self.shards:
            shard.close()

    def _visit(self, visit: Visit) -> Any:
        known = self.down.get(visit.shard)
        if known is not None:
            return Failed(visit.shard, known, asked=False)
        try:
            return self.shards[visit.shard].run(visit.op)
        except ClientClosed:
            raise
        except StoreError as error:
            return self._failed(visit.shard, error)

    def _send(self, visit: Visit) -> Future[Any] | None:
        """Visit a shard in a thread; not where one that nobody waits for is on its way."""
        late = self._late.get(visit.shard) if visit.wait is not None else None
        if late is not None and not late.done():
            return None
        return self._threads().submit(self._visit, visit)

    def _hear(self, visit: Visit, answer: Future[Any] | None, since: float) -> Any:
        """The answer of a visit that began then."""
        if answer is not None:
            left = None if visit.wait is None else max(0.0, since + visit.wait - time.monotonic())
            try:
                return answer.result(left)
            except TimeoutError:
                self._late[visit.shard] = answer
        slow = f"{self.label(visit.shard)} has not answered for {visit.wait} s"
        return Failed(visit.shard, StoreUnavailable(slow))

    async def _avisit(self, visit: Visit) -> Any:
        known = self.down.get(visit.shard)
        if known is not None:
            return Failed(visit.shard, known, asked=False)
        try:
            return await self.shards[visit.shard].arun(visit.op)
        except ClientClosed:
            raise
        except StoreError as error:
            return self._failed(visit.shard, error)

    def _failed(self, shard: int, error: StoreError) -> Failed:
        told = type(error)(f"{self.label(shard)}: {error}")
        told.__cause__ = error
        if isinstance(error, StoreUnavailable):
            with self._lock:
                first = shard not in self._down and not self._closed.is_set()
                if first:
                    self._down[shard] = told
            if first:
                log.error("%s; the other shards go on", told)
                threading.Thread(
                    target=self._try_again, args=(shard,), name="longshore-shard", daemon=True
                ).start()
        return Failed(shard, told)

    def _try_again(self, shard: int) -> None:
        store, since, wait = self.shards[shard], time.monotonic(), FIRST_TRY
        while not self._closed.wait(wait):
            wait = min(2 * wait, LAST_TRY)
            try:
                store.run(store.identity())
            except ClientClosed:
                return
            except StoreError:
                continue
            with self._lock:
                self.back[shard] = time.monotonic()
                self._down.pop(shard, None)
            log.warning(
                "%s answers again after %.1f s", self.label(shard), time.monotonic() - since
            )
            return

    def _threads(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - not for one shard

        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(
                    4 * len(self.shards), thread_name_prefix="longshore-shards"
                )
            return self._pool


def answered(replies: Sequence[Any]) -> list[Any]:
    """The answers among replies.

    Raises:
        StoreError: there is none.
    """
    answers = [reply for reply in replies if not failed(reply)]
    if replies and not answers:
        raise replies[0].error
    return answers


def written(reply: Any) -> Any:
    """The reply to a write as an answer.

    Raises:
        StoreError: there is none; that nothing was written is said only where it is certain.
    """
    unasked = failed(reply) and not reply.asked
    (answer,) = all_answered([reply], "Nothing was written." if unasked else "")
    return answer


def all_answered(replies: Sequence[Any], consequence: str = "") -> list[Any]:
    """Every reply as an answer.

    Raises:
        StoreError: a shard gave none; ``consequence`` says what that means.
    """
    for reply in replies:
        if failed(reply):
            error = reply.error
            raise type(error)(f"{error} {consequence}".rstrip()) from error
    return list(replies)
