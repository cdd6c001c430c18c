"""The outbox: jobs written into the caller's database, on their way to a store elsewhere.

A row is added in the caller's own transaction, so it is there if and only if the work is. Workers
relay it: insert the job by its id, which may be repeated, then delete the row. Whatever is killed
at any moment, the job arrives, and once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from longshore.core.model import NewJob
from longshore.core.store import Operation
from longshore.core.wording import many
from longshore.errors import PayloadError, UnknownPayloadVersion

VERSION: Final = 1


class OutboxRow(msgspec.Struct, frozen=True, gc=False):
    """One row of the outbox: its place in the order, and the job as :func:`encode` wrote it."""

    position: int
    job: bytes


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """What an outbox holds: rows on their way, rows that cannot go, and why the first cannot."""

    rows: int
    parked: int
    why: str | None = None


class Letter(msgspec.Struct, frozen=True, gc=False):
    """A row as people see it: when it was written, and why it was ``parked`` if it was."""

    position: int
    made_at: int
    job: bytes
    parked: str | None


class Outbox(Protocol):
    """A SQL store, as far as it keeps jobs for another store; ``store`` is the other one's id."""

    def outbox_add(self, store: str, jobs: Sequence[bytes]) -> Operation[None]:
        """Add jobs in their order; over the caller's connection."""
        ...

    def outbox_take(self, store: str, limit: int, hold: int) -> Operation[tuple[OutboxRow, ...]]:
        """The first rows, unless another relay took them less than ``hold`` microseconds ago."""
        ...

    def outbox_settle(
        self, done: Sequence[int], parked: Sequence[tuple[int, str]], left: Sequence[int] = ()
    ) -> Operation[None]:
        """Delete rows whose jobs have arrived; park those that cannot, and why.

        ``left`` are taken rows that another relay is to take: it need not wait for this one.
        """
        ...

    def outbox_waiting(self, store: str) -> Operation[Waiting]:
        """How many rows there are."""
        ...

    def outbox_rows(self, store: str, after: int, limit: int) -> Operation[tuple[Letter, ...]]:
        """The first rows behind a position, in order; 0 for all."""
        ...

    def outbox_retry(self, positions: Sequence[int]) -> Operation[int]:
        """Let parked rows be relayed again; how many were parked."""
        ...

    def outbox_drop(self, positions: Sequence[int]) -> Operation[int]:
        """Delete parked rows and the jobs in them; how many were parked."""
        ...

    def outbox_elsewhere(self, store: str) -> Operation[Mapping[str, int]]:
        """How many rows are for other stores, by their ids: perhaps they are gone."""
        ...

    def outbox_adopt(self, store: str, other: str) -> Operation[int]:
        """Send what is for another store to this one; how many rows there were."""
        ...


class _Content(msgspec.Struct, frozen=True):
    v: int
    job: NewJob


class _Head(msgspec.Struct, frozen=True):
    v: int


_CONTENT: Final = msgspec.json.Decoder(_Content)
_HEAD: Final = msgspec.json.Decoder(_Head)


def elsewhere(rows: Mapping[str, int]) -> str:
    """What is said of rows for other stores.

    Example:
        >>> elsewhere({"0192": 3})[:37]
        'the outbox has 3 jobs for store 0192:'
    """
    of = ", ".join(f"{many(count, 'job')} for store {other}" for other, count in rows.items())
    return (
        f"the outbox has {of}: those of another application, or this store was emptied or"
        f" exchanged. In that case `longshore outbox adopt {next(iter(rows))}` sends them here"
    )


def encode(job: NewJob) -> bytes:
    """A job as the outbox keeps it."""
    # Relayed, it may have arrived before: its id is no news any more.
    return msgspec.json.encode(_Content(VERSION, msgspec.structs.replace(job, fresh=False)))


def decode(row: bytes) -> NewJob:
    """The job of a row.

    Raises:
        UnknownPayloadVersion: a newer release wrote it.
        PayloadError: it is damaged.
    """
    try:
        version = _HEAD.decode(row).v
        if version > VERSION:
            raise UnknownPayloadVersion(
                f"a newer release of Longshore wrote it (version {version}, here {VERSION});"
                " relay it with a worker of that release"
            )
        return _CONTENT.decode(row).job
    except msgspec.MsgspecError as error:
        raise PayloadError(f"it cannot be read: {error}") from None
