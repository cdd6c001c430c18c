"""A store and the two ways of calling it: blocking and awaiting, from one body.

What takes one operation is driven by the store itself. What takes several, or has to wait between
them, is a *plan*: a generator that yields operations and waits and is sent their answers. Every
public method and its awaitable twin run the same plan.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakSet

import msgspec

from longshore.callers import warn
from longshore.core.batches import Together
from longshore.core.model import Inserted, JobRecord, NewJob
from longshore.core.store import Operation, Store
from longshore.errors import ClientClosed, StoreBusy

if TYPE_CHECKING:
    from longshore.hints import Hub

T = TypeVar("T")


class Until(msgspec.Struct, frozen=True):
    """In a plan: wait until a job is as wanted, for at most ``timeout`` seconds.

    It is looked at when the store hints at a change, and every ``poll`` seconds: in one read for
    all jobs that threads and coroutines of this process wait for.
    """

    job_id: str
    done: Callable[[JobRecord | None], bool]
    timeout: float | None
    poll: float


Plan = Generator["Operation[Any] | Until", Any, T]


def ask(op: Operation[T]) -> Generator[Operation[T], T, T]:
    """Yield one operation from a plan and give back its answer with its type."""
    answer = yield op
    return answer


def until(
    job_id: str,
    done: Callable[[JobRecord | None], bool],
    *,
    timeout: float | None,
    poll: float,
) -> Generator[Until, JobRecord | None, JobRecord | None]:
    """Wait for a job from a plan; gives it as it is then, or ``None``: look yourself."""
    record = yield Until(job_id, done, timeout, poll)
    return record


class Inserts(Protocol):
    """Stores jobs for who does not do it himself."""

    def insert(
        self, jobs: Sequence[NewJob], together: Together | None = None, /
    ) -> Sequence[Inserted]: ...
    async def ainsert(
        self, jobs: Sequence[NewJob], together: Together | None = None, /
    ) -> Sequence[Inserted]: ...


class Client:
    """Opens the store at the first use, drives operations and plans, and closes it for good.

    It ends with :meth:`close`; afterwards every call raises :class:`ClientClosed`.
    """

    def __init__(self, connect: Callable[[], Store]) -> None:
        self._connect = connect
        self._store: Store | None = None
        self._closed = False
        self._inserts: Inserts | None = None
        self.begin()
        _clients.add(self)

    def begin(self) -> None:
        """Start with no lock held and no thread; so does a forked child, which has neither."""
        self._lock = threading.RLock()
        self._inside: set[int] = set()
        self._hub: Hub | None = None
        #: What works with the store in the background, and is ended before it is closed.
        self.closing: list[Callable[[], None]] = []

    def divert(self, inserts: Inserts, connect: Callable[[], Store] | None = None) -> None:
        """Let another store jobs from now on; ``connect`` is how the store is opened instead.

        For a job in a process of its own, whose parent does it.
        """
        self._inserts = inserts
        self._connect = connect or self._connect

    @property
    def store(self) -> Store:
        """The open store."""
        return self._store or self._open()

    def run(self, op: Operation[T]) -> T:
        """Drive one operation, blocking."""
        if _loop_runs():
            warn(f"{op.name} blocks the running event loop; await the twin (aenqueue, aresult ...)")
        return self._run(op)

    async def arun(self, op: Operation[T]) -> T:
        """Drive one operation, awaiting."""
        store = self.store
        # A store in this process answers at once: there is nothing to await.
        return await store.arun(op) if store.shared else self._run(op)

    def insert(
        self, jobs: Sequence[NewJob], together: Together | None = None
    ) -> Sequence[Inserted]:
        """Store jobs, blocking."""
        if self._inserts is not None:
            return self._inserts.insert(jobs, together)
        return self.run(self.store.insert(jobs, together))

    async def ainsert(
        self, jobs: Sequence[NewJob], together: Together | None = None
    ) -> Sequence[Inserted]:
        """Store jobs, awaiting."""
        if self._inserts is not None:
            return await self._inserts.ainsert(jobs, together)
        return await self.arun(self.store.insert(jobs, together))

    def follow(self, plan: Plan[T]) -> T:
        """Run a plan, blocking."""
        try:
            step = next(plan)
            while True:
                match step:
                    case Operation():
                        step = plan.send(self.run(step))
                    case Until(job_id=job_id, done=wanted, timeout=timeout, poll=poll):
                        from longshore.hints import ThreadWaiter  # noqa: PLC0415 - as below

                        waiter = ThreadWaiter(self._listening(), job_id, wanted, poll)
                        step = plan.send(waiter.wait(timeout))
        except StopIteration as done:
            value: T = done.value
            return value
        finally:
            plan.close()

    async def afollow(self, plan: Plan[T]) -> T:
        """Run the same plan, awaiting."""
        try:
            step = next(plan)
            while True:
                match step:
                    case Operation():
                        step = plan.send(await self.arun(step))
                    case Until(job_id=job_id, done=wanted, timeout=timeout, poll=poll):
                        from longshore.hints import CoroutineWaiter  # noqa: PLC0415 - as below

                        waiter = CoroutineWaiter(self._listening(), job_id, wanted, poll)
                        step = plan.send(await waiter.wait(timeout))
        except StopIteration as done:
            value: T = done.value
            return value
        finally:
            plan.close()

    def close(self) -> None:
        """Close the store, after what works with it in the background; safe to repeat.

        Raises:
            ConfigurationError: it is called from inside that, which would wait for itself.
        """
        for end in list(self.closing):
            end()
        with self._lock:
            self._closed = True
            store, self._store = self._store, None
            hub, self._hub = self._hub, None
        if hub is not None:
            hub.close()
        if store is not None:
            store.close()

    def _open(self) -> Store:
        with self._lock:
            if self._closed:
                msg = "this Longshore object was closed; make a new one to go on"
                raise ClientClosed(msg)
            if self._store is None:
                self._store = self._connect()
            return self._store

    def _run(self, op: Operation[T]) -> T:
        thread, inside = threading.get_ident(), self._inside
        if thread in inside:
            # A signal handler or __del__ came in between: the store's lock is this thread's own.
            msg = (
                f"{op.name}: this thread is already in the middle of a call to the store; nothing "
                "was done. In a signal handler or __del__ set a flag, and act on it outside"
            )
            raise StoreBusy(msg)
        inside.add(thread)
        try:
            return self.store.run(op)
        finally:
            inside.discard(thread)

    def _listening(self) -> Hub:
        from longshore.hints import Hub  # noqa: PLC0415 - only who waits pays for it

        store = self.store
        with self._lock:
            if self._hub is None:
                self._hub = Hub(store)
            return self._hub


def _loop_runs() -> bool:
    # asyncio is looked up, not imported: who never awaits does not pay for it.
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None  # noqa: SLF001


_clients: WeakSet[Client] = WeakSet()


def _begin_all() -> None:
    for client in _clients:
        client.begin()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_all)
