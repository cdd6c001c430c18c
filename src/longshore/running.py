"""One run of a job: what the worker knows of it, and where what its body says goes."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol

import msgspec

from longshore.core.batches import Together
from longshore.core.model import (
    Claimed,
    Ending,
    Inserted,
    Lease,
    LogLine,
    NewJob,
    Patch,
    Progress,
    Step,
)
from longshore.core.sealing import Seal
from longshore.core.steps import Book
from longshore.errors import LongshoreError
from longshore.joblog import JobLog


class JobTransaction(Protocol):
    """A block that commits the work of a job together with its success: ``with`` or ``async with``.

    Entering it gives a plain connection of the store's driver.
    """

    @property
    def is_open(self) -> bool:
        """Whether it was entered and not left."""
        ...

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

    def log(self, lease: Lease, line: LogLine, /) -> None:
        """A line of its log."""
        ...

    def leave(self, lease: Lease, steps: Sequence[Step], /) -> None:
        """Steps that are to be saved with its end."""
        ...

    def steps(self, run: RunState, /) -> Sequence[Step]:
        """Read what its runs so far have saved."""
        ...

    async def asteps(self, run: RunState, /) -> Sequence[Step]:
        """The awaitable twin."""
        ...

    def keep(self, run: RunState, steps: Sequence[Step], /) -> None:
        """Save steps, and all that it has said, before this returns.

        Raises :class:`LeaseLost` when the run belongs to somebody else.
        """
        ...

    async def akeep(self, run: RunState, steps: Sequence[Step], /) -> None:
        """The awaitable twin."""
        ...

    def insert(
        self, jobs: Sequence[NewJob], together: Together | None = None, /
    ) -> Sequence[Inserted]:
        """Store jobs that its body enqueues in a process of its own."""
        ...

    def unsaved(self, run: RunState, /) -> Patch | None:
        """Take what it has said and nobody has saved yet, to save it oneself."""
        ...

    def transaction(self, run: RunState, /) -> JobTransaction:
        """A block for its work and its success."""
        ...

    def settled(self, run: RunState, ending: Ending, /) -> None:
        """Its end is stored already."""
        ...


class Notes:
    """What few runs have: a log, and steps once one is used."""

    __slots__ = ("book", "log")

    def __init__(self, log: JobLog) -> None:
        self.log = log
        self.book: Book | None = None


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
    doubted: bool = False  # perhaps lost: not renewed in time; the one flag that goes down again
    once: bool = False  # known when its worker stops: given back it would run a second time
    verdict: LongshoreError | None = None
    error: BaseException | None = None
    transaction: JobTransaction | None = None  # the one that was entered
    ending: Ending | None = None  # stored before the end of the body, by that transaction
    notes: Notes | None = None  # once it has a log or steps
    seal: Seal | None = None  # of an encrypted job, from when it was decrypted
    place: int = -1  # in the beacon, from the start of the body until its end is stored
