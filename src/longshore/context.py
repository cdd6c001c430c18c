"""The running job, as its own body sees it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Protocol

import msgspec

from longshore.core.model import Claimed, Ending, Lease, Progress
from longshore.core.wording import shown, storable
from longshore.errors import (
    Cancelled,
    Interrupted,
    InvalidOption,
    LongshoreError,
    NotInAJob,
    TransactionRefused,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HUGE = 1e300


class JobTransaction(Protocol):
    """A block that commits the work of a job together with its success: ``with`` or ``async with``.

    Entering it gives a plain connection of the store's driver.
    """

    def succeed(self, result: Any) -> None: ...
    def __enter__(self) -> Any: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...
    async def __aenter__(self) -> Any: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class Reports(Protocol):
    """What a run tells its worker while its body runs."""

    def __call__(self, lease: Lease, progress: Progress, /) -> None:
        """How far it is."""
        ...

    def transaction(self, run: RunState, /) -> JobTransaction:
        """A block for its work and its success."""
        ...

    def settled(self, run: RunState, ending: Ending, /) -> None:
        """Its end is stored already."""
        ...


class RunState(msgspec.Struct, eq=False):
    """What the worker knows of one run and the body may ask. Flags only ever go up.

    ``verdict`` is the error that a stopped body is given: why it was timed out, cancelled or
    interrupted; ``error`` what the body raised. Times are microseconds of the wall clock, 0 until
    known.
    """

    claimed: Claimed
    lease: Lease
    claim_id: int
    report: Reports
    started_at: int = 0
    ended_at: int = 0
    cancelled: bool = False
    stopping: bool = False
    lost: bool = False
    once: bool = False  # known when its worker stops: given back it would run a second time
    verdict: LongshoreError | None = None
    error: BaseException | None = None
    transaction: JobTransaction | None = None  # the one that was entered
    ending: Ending | None = None  # stored before the end of the body, by that transaction
    place: int = -1  # in the beacon, from the start of the body until its end is stored


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
    def cancelled(self) -> bool:
        """Whether a person asked this job to end."""
        return self._run is not None and self._run.cancelled

    @property
    def stopping(self) -> bool:
        """Whether the worker is draining and would like this job to end soon."""
        return self._run is not None and self._run.stopping

    @property
    def lost(self) -> bool:
        """Whether the lease is lost: nothing this run reports will be accepted."""
        return self._run is not None and self._run.lost

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

    def checkpoint(self) -> None:
        """A good place to stop: raises :class:`Cancelled` or :class:`Interrupted` if asked to.

        Interrupted gives the job back uncounted; it runs again elsewhere from its beginning. A job
        that runs at most once goes on for as long as its worker can wait.

        >>> from longshore import CONTEXT
        >>> CONTEXT.checkpoint()
        """
        run = self._run
        if run is None:
            return
        if run.cancelled:
            msg = f"job {run.claimed.id} ({run.claimed.kind}) was cancelled while it ran"
            raise Cancelled(msg)
        if run.stopping and not run.once:
            msg = f"the worker is stopping; job {run.claimed.id} ({run.claimed.kind}) goes back"
            raise Interrupted(msg)

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


def _number(field: str, value: Any) -> float:
    # JSON has no NaN: stored as null, it would make the whole record unreadable.
    if isinstance(value, int | float) and -_HUGE < value < _HUGE:
        return float(value)
    msg = f"progress: {field}={shown(value)} is not a number"
    raise InvalidOption(msg)


#: The default of a parameter that the worker fills with the running job's context.
CONTEXT = JobContext()

# The run, not its context: most bodies never ask, so the context is made when one does.
_current: ContextVar[RunState | None] = ContextVar("longshore_current", default=None)

#: Called by the worker around each body.
set_current = _current.set
reset_current = _current.reset


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
