"""Drives operations of a store over connections that are not its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from longshore.core.batches import Together
from longshore.core.model import Lease, NewJob
from longshore.core.store import Operation, Store, adrive, drive
from longshore.errors import IdConflict
from longshore.joining.through import Statement, Through

T = TypeVar("T")

#: What operations ask of their driver instead of the database.
UNDO: Final = "undo"  # take back what the operation has written
REPEATED: Final = "repeated"  # whether it may have been done before, and its reply was lost


_ASKED: Final = frozenset({UNDO, REPEATED})


def joined(store: Store) -> Store:
    """The operations of a SQL store, as they are driven over connections of others."""
    operations: Store = getattr(store, "joined", store)
    return operations


def home_of(store: Store, lease: Lease) -> tuple[Store, Lease]:
    """The store that has a claimed job, and the lease as it is known there.

    Another than the given one where that is made of shards.
    """
    home: Callable[[Lease], tuple[Store, Lease]] | None = getattr(store, "home", None)
    return (store, lease) if home is None else home(lease)


def home_together(
    store: Store, jobs: Sequence[NewJob], together: Together
) -> tuple[Store, Together]:
    """The store in which a batch or workflow lies, and who adds to it as he is known there."""
    home: Callable[[Sequence[NewJob], Together], tuple[Store, Together]] | None
    home = getattr(store, "home_together", None)
    return (store, together) if home is None else home(jobs, together)


def driven(through: Through, op: Operation[T], jobs: int = 0) -> T:
    """Drive an operation over a connection of somebody else's; ``jobs``: how many it inserts."""

    def execute(statement: Statement) -> Any:
        if statement.query.name in _ASKED:
            return _answer(statement.query.name, jobs)
        return through.execute(statement)

    return drive(op, execute)


async def adriven(through: Through, op: Operation[T], jobs: int = 0) -> T:
    """The awaiting twin of :func:`driven`."""

    async def execute(statement: Statement) -> Any:
        if statement.query.name in _ASKED:
            return _answer(statement.query.name, jobs)
        return await through.aexecute(statement)

    return await adrive(op, execute)


def _answer(asked: str, jobs: int) -> bool:
    """What a driver says that may not roll back, and that tries nothing again."""
    # Where one job met another of its id nothing was written; where there are more it is too late.
    if asked == UNDO and jobs > 1:
        raise IdConflict(
            "one of these ids was stored by another transaction at this very moment; some of the"
            f" {jobs} jobs were written. Roll back your transaction, and try again."
        )
    return False
