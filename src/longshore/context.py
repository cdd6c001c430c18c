"""The running job, as its own body sees it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, Protocol, TypeVar, overload

import msgspec

from longshore.core.model import Lease, Progress
from longshore.core.wording import shown, storable
from longshore.errors import InvalidOption, NotInAJob, TransactionRefused
from longshore.joblog import JobLog
from longshore.running import JobTransaction, RunState
from longshore.stepping import (
    Loop,
    afollow,
    awaited,
    checkpointed,
    encoded,
    follow,
    notes_of,
    step_values,
    stepped,
)

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")
T = TypeVar("T")
H = TypeVar("H")
H_co = TypeVar("H_co", covariant=True)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HUGE = 1e300


class JobContext:
    """The job that runs here and now.

    Taken as a parameter with the default :data:`CONTEXT`, as the first parameter of a job
    declared with ``context=True``, as ``self.context`` of a job class, or from :func:`current`.
    In an ordinary call there is no running job: the context is *detached*, progress goes nowhere
    and ``id`` is ``None``.

    >>> from longshore import CONTEXT
    >>> CONTEXT.id is None
    True
    """

    __slots__ = ("_run",)

    def __init__(self, run: RunState | None = None) -> None:
        self._run = run

    @property
    def id(self) -> str | None:
        """The job's id; ``None`` when detached."""
        return self._run.claimed.id if self._run else None

    @property
    def kind(self) -> str:
        """The stored name of the job; empty when detached."""
        return self._run.claimed.kind if self._run else ""

    @property
    def queue(self) -> str:
        """The queue it was claimed from; empty when detached."""
        return self._run.claimed.queue if self._run else ""

    @property
    def args(self) -> Mapping[str, Any]:
        """The stored arguments as plain JSON values: ``{"args": [...], "kwargs": {...}}``."""
        if self._run is None:
            return {}
        stored: Mapping[str, Any] = msgspec.json.decode(self._run.claimed.payload)
        return stored

    @property
    def attempt(self) -> int:
        """Failed attempts so far, and this one."""
        return self._run.claimed.attempt if self._run else 1

    @property
    def run(self) -> int:
        """The run number: every claim counts, failed or not."""
        return self._run.lease.run if self._run else 0

    @property
    def failures(self) -> int:
        """Failed attempts so far."""
        return self._run.claimed.failures if self._run else 0

    @property
    def created_at(self) -> datetime | None:
        """When the job was enqueued, in UTC."""
        if self._run is None:
            return None
        return _EPOCH + timedelta(microseconds=self._run.claimed.created_at)

    @property
    def tags(self) -> tuple[str, ...]:
        """The job's tags."""
        return self._run.claimed.tags if self._run else ()

    @property
    def meta(self) -> Mapping[str, Any]:
        """What travels with the job beside its arguments."""
        if self._run is None or self._run.claimed.meta is None:
            return {}
        stored: Mapping[str, Any] = msgspec.json.decode(self._run.claimed.meta)
        return stored

    @property
    def batch(self) -> OwnBatch | None:
        """The batch, or the workflow, that the job belongs to: ``current().batch.add(...)``."""
        bundles = self.meta.get("batch")
        if self._run is None or not bundles:
            return None
        return OwnBatch(self._run.lease, tuple(bundles))

    @property
    def cancelled(self) -> bool:
        """Whether a person asked this job to end."""
        return self._run is not None and self._run.cancelled

    @property
    def stopping(self) -> bool:
        """Whether the worker is draining and would like this job to end soon."""
        return self._run is not None and self._run.stopping

    @property
    def lost(self) -> bool:
        """Whether the lease is lost, or may soon be: the job may run elsewhere too.

        Looked at by bodies whose effects must not overlap with those of the next run. True from
        0.8 of a lease without an answer of the store. Where the store answers before others have
        taken the job it is false again and the run counts; else nothing it reports is accepted.
        """
        return self._run is not None and (self._run.lost or self._run.doubted)

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far the job is; others read it within about a quarter of a second.

        Parameters: ``done`` of ``total`` in any unit; ``message`` at most 1 000 characters of it
        are kept. Raises :class:`InvalidOption` for what is not a number.

        >>> from longshore import CONTEXT
        >>> CONTEXT.progress(31, 50, "page 31 of 50")
        """
        said = Progress(
            _number("done", done),
            None if total is None else _number("total", total),
            None if message is None else storable(str(message)[:1000], 4000),
        )
        if self._run is not None:
            self._run.report(self._run.lease, said)

    @property
    def log(self) -> JobLog:
        """The job's log: ``ctx.log.info("page %d", 3)``, which others read while it runs."""
        return _DETACHED_LOG if self._run is None else notes_of(self._run).log

    def checkpoint(self) -> None:
        """A good place to stop: raises :class:`Cancelled` or :class:`Interrupted` if asked to.

        Saves how far the loops of :meth:`iterate` around it are. Interrupted gives the job back
        uncounted; it runs again elsewhere, from its beginning but for its steps and loops. A job
        that runs at most once goes on for as long as its worker can wait. Raises
        :class:`LeaseLost` when the job belongs to another process by now.

        >>> from longshore import CONTEXT
        >>> CONTEXT.checkpoint()
        """
        if self._run is not None:
            follow(self._run, checkpointed(self._run))

    async def acheckpoint(self) -> None:
        """The awaitable twin of :meth:`checkpoint`."""
        if self._run is not None:
            await afollow(self._run, checkpointed(self._run))

    def step(self, name: str, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do something once, however often the job runs: its value is saved before this returns.

        A later run gets the saved value and does not call again. What it gets is what was stored,
        decoded by the return annotation of ``call``, on the first run too. One that raises is not
        saved; one whose process dies before it is saved is called again. A person's retry keeps
        steps, a unique job that replaces this one does not.

        Parameters: ``name``, unique in the job, at most 200 characters and 1 000 of them; ``call``
        and its arguments; its value takes at most 1 MiB as JSON. Raises :class:`StepRefused` for
        a name that cannot be used, :class:`UnstorableResult` for a value that cannot be stored,
        :class:`LeaseLost` when the job belongs to another process by now.

        >>> from longshore import CONTEXT
        >>> CONTEXT.step("double", lambda number: 2 * number, 21)
        42
        """
        if self._run is None:
            values = step_values("no job", name, call)
            detached: R = values.decode(encoded(values, call(*args, **kwargs)))
            return detached
        value: R = follow(self._run, stepped(self._run, name, call), lambda: call(*args, **kwargs))
        return value

    async def astep(
        self, name: str, call: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """The awaitable twin of :meth:`step`, for coroutine functions.

        Example: ``receipt = await ctx.astep("charge", charge_card, order_id)``
        """
        if self._run is None:
            values = step_values("no job", name, call)
            detached: R = values.decode(encoded(values, await awaited(call(*args, **kwargs))))
            return detached
        value: R = await afollow(
            self._run, stepped(self._run, name, call), lambda: awaited(call(*args, **kwargs))
        )
        return value

    @overload
    def iterate(
        self, name: str, source: Callable[[C], Iterable[tuple[C, T]]], /, start: C
    ) -> Loop[T]: ...
    @overload
    def iterate(
        self, name: str, source: Callable[[C], AsyncIterable[tuple[C, T]]], /, start: C
    ) -> Loop[T]: ...
    def iterate(
        self,
        name: str,
        source: Callable[[C], Iterable[tuple[C, T]] | AsyncIterable[tuple[C, T]]],
        /,
        start: C,
    ) -> Loop[T]:
        """Go over many items so that a later run goes on where this one ended.

        ``source`` is called with the cursor to begin behind, ``start`` at first, and yields pairs:
        the cursor of an item and the item. An item counts as dealt with when the loop asks for the
        next one; the cursor of the last such item is saved about every second, at every
        :meth:`checkpoint`, when the body raises and at the end. So after a SIGKILL at most a second
        of items comes again, and none is missed. Between items it stops as :meth:`checkpoint`
        does. A loop that has come to its end yields nothing in later runs.

        ``async for`` takes blocking and asynchronous sources, ``for`` blocking ones.

        Parameters: ``name`` as for :meth:`step`; a cursor is a plain value, or what the parameter
        of ``source`` is annotated with, or of the type of ``start``. Raises as :meth:`step` and
        :meth:`checkpoint` do.

        >>> from longshore import CONTEXT
        >>> rows = ["a", "b", "c"]
        >>> def rows_after(cursor: int):
        ...     yield from enumerate(rows[cursor:], cursor + 1)
        >>> list(CONTEXT.iterate("rows", rows_after, start=1))
        ['b', 'c']
        """
        return Loop(self._run, name, source, start)

    def transaction(self) -> JobTransaction:
        """Commit what the job does in the block together with its success.

        Entering it gives a new, plain connection of the store's driver: sqlite3, psycopg or
        PyMySQL. Leaving it commits; an exception inside rolls both back and is an ordinary failed
        attempt. May be entered once. What follows the block is outside: the return value is
        dropped, and an exception is kept as ``error_after_success``. Jobs enqueued inside belong
        to the block. ``async with`` where the store's driver awaits. Raises
        :class:`TransactionRefused` where there can be none, :class:`LeaseLost` on leaving when the
        job belongs to another process by now.

        Example: ``with ctx.transaction() as connection: connection.execute(...); ctx.succeed(7)``
        """
        if self._run is None:
            msg = (
                "no job runs here: ctx.transaction() commits a running job's work with its success"
            )
            raise TransactionRefused(msg)
        return self._run.report.transaction(self._run)

    def succeed(self, result: Any = None) -> None:
        """Say inside the block of :meth:`transaction` what the job's result is.

        Example: ``ctx.succeed(receipt)``
        """
        transaction = None if self._run is None else self._run.transaction
        if transaction is None:
            msg = "succeed() belongs inside the block of ctx.transaction(); elsewhere return"
            raise TransactionRefused(msg)
        transaction.succeed(result)


class Joinable(Protocol[H_co]):
    """What can be added to a batch: what ``bind`` of a job returns."""

    def enqueue_into(self, bundles: tuple[str, ...], lease: Lease) -> H_co: ...
    async def aenqueue_into(self, bundles: tuple[str, ...], lease: Lease) -> Any: ...


class OwnBatch:
    """The batch of the job that runs here. What it adds counts before it can end itself.

    Its counts are read with ``jobs.batches.get(batch.id)``.
    """

    __slots__ = ("_lease", "bundles")

    def __init__(self, lease: Lease, bundles: tuple[str, ...]) -> None:
        self._lease = lease
        #: Its id, and those of the batches that it lies in.
        self.bundles = bundles

    @property
    def id(self) -> str:
        """The id of the batch."""
        return self.bundles[0]

    def add(self, job: Joinable[H]) -> H:
        """Store a job that belongs to it too; its handle.

        Raises :class:`BatchFinished` when the running job belongs to another process by now, and
        what ``enqueue`` raises: then nothing was written.

        Example: ``current().batch.add(load.bind(part))``
        """
        return job.enqueue_into(self.bundles, self._lease)

    async def aadd(self, job: Joinable[H]) -> H:
        """The awaitable twin of :meth:`add`."""
        handle: H = await job.aenqueue_into(self.bundles, self._lease)
        return handle

    def __repr__(self) -> str:
        return f"<batch {self.id}>"


def _number(field: str, value: Any) -> float:
    # JSON has no NaN: stored as null, it would make the whole record unreadable.
    if isinstance(value, int | float) and -_HUGE < value < _HUGE:
        return float(value)
    msg = f"progress: {field}={shown(value)} is not a number"
    raise InvalidOption(msg)


_DETACHED_LOG = JobLog("", 0, None)

#: The default of a parameter that the worker fills with the running job's context.
CONTEXT = JobContext()

# The run, not its context: most bodies never ask, so the context is made when one does.
_current: ContextVar[RunState | None] = ContextVar("longshore_current", default=None)

#: Called by the worker around each body.
set_current = _current.set
reset_current = _current.reset
#: The run whose body this is, if it is one.
current_run = _current.get


def current() -> JobContext:
    """The context of the job that runs here; raises :class:`NotInAJob` outside of one.

    >>> from longshore import current
    >>> current()
    Traceback (most recent call last):
    longshore.errors.NotInAJob: no job runs here; current() works inside a job's body only
    """
    run = _current.get()
    if run is None:
        msg = "no job runs here; current() works inside a job's body only"
        raise NotInAJob(msg)
    return JobContext(run)
