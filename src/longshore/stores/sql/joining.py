"""What connections of others need of a SQL store: which store it is, and its outbox.

Mixed into every SQL store. The statements take single values or rows of them, so that the same
operations run over the caller's connection, whatever driver that is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from longshore.core.model import Lease
from longshore.core.outbox import Letter, OutboxRow, Waiting
from longshore.core.store import operation
from longshore.stores.sql.core import Core
from longshore.stores.sql.statements import Row, Steps, as_json

#: How many jobs one statement carries at most, and about how many bytes of them.
MOST_ROWS: Final = 1000
MOST_BYTES: Final = 1_000_000


class Joining(Core):
    """Operations over connections that are not the store's own."""

    @property
    def joined(self) -> Joining:
        """The same operations, as they are driven over connections of others."""
        return self

    @operation(writes=False)
    def identity(self) -> Steps[str | None]:
        """The id of the store that a connection leads to; ``None`` where there is none."""
        # A statement on a table that is not there would spoil the transaction of a PostgreSQL.
        there: list[Row] = yield self.sql["store_there"]()
        if not there or there[0][0] is None:
            return None
        rows: list[Row] = yield self.sql["store_id"]()
        return rows[0][0] if rows else None

    @operation(writes=True)
    def outbox_add(self, store: str, jobs: Sequence[bytes]) -> Steps[None]:
        """Add jobs to the outbox in their order."""
        now = time.time_ns() // 1000  # for people to read: no reason to ask the server
        for piece in _pieces(jobs):
            texts = as_json([job.decode() for job in piece])
            yield self.sql["outbox_add"](store=store, jobs=texts, now=now)

    @operation(writes=True)
    def outbox_take(self, store: str, limit: int, hold: int) -> Steps[tuple[OutboxRow, ...]]:
        """The first rows, unless another relay is at them."""
        rows: list[Row] = yield self.sql["outbox_take"](store=store, limit=limit)
        if not rows:
            return ()
        now = yield from self.time()
        first, _, held_until = rows[0]
        if held_until is not None and now < held_until <= now + hold:
            return ()
        # Of two that look at the same moment one relays: what is not kept after its end would be
        # stored and run again by the other.
        if not (yield self.sql["outbox_hold"](position=first, until=now + hold, seen=held_until)):
            return ()
        return tuple(OutboxRow(position, _bytes(job)) for position, job, _ in rows)

    @operation(writes=True)
    def outbox_settle(
        self, done: Sequence[int], parked: Sequence[tuple[int, str]], left: Sequence[int] = ()
    ) -> Steps[None]:
        """Delete rows whose jobs have arrived, park those that cannot, let go of others."""
        if done:
            yield self.sql["outbox_done"](positions=self.listed(done))
        for position, why in parked:
            yield self.sql["outbox_park"](position=position, why=why)
        for position in left:
            yield self.sql["outbox_release"](position=position)

    @operation(writes=False)
    def outbox_waiting(self, store: str) -> Steps[Waiting]:
        """How many rows there are, and why those cannot go that are parked."""
        rows: list[Row] = yield self.sql["outbox_waiting"](store=store)
        waiting, parked, why = rows[0]
        return Waiting(int(waiting or 0), int(parked or 0), why)

    @operation(writes=False)
    def outbox_rows(self, store: str, after: int, limit: int) -> Steps[tuple[Letter, ...]]:
        """The rows behind a position."""
        rows: list[Row] = yield self.sql["outbox_rows"](store=store, after=after, limit=limit)
        return tuple(
            Letter(position, made_at, _bytes(job), why) for position, made_at, job, why in rows
        )

    @operation(writes=True)
    def outbox_retry(self, positions: Sequence[int]) -> Steps[int]:
        """Send on rows that were parked."""
        return (yield from self._parked("outbox_retry", positions))

    @operation(writes=True)
    def outbox_drop(self, positions: Sequence[int]) -> Steps[int]:
        """Delete rows that were parked."""
        return (yield from self._parked("outbox_drop", positions))

    @operation(writes=False)
    def outbox_elsewhere(self, store: str) -> Steps[Mapping[str, int]]:
        """How many rows there are for other stores, by their ids."""
        rows: list[Row] = yield self.sql["outbox_elsewhere"](store=store)
        return {other: int(count) for other, count in rows}

    @operation(writes=True)
    def outbox_adopt(self, store: str, other: str) -> Steps[int]:
        """Send rows for another store to this one."""
        changed: int = yield self.sql["outbox_adopt"](store=store, other=other)
        return changed

    def _parked(self, query: str, positions: Sequence[int]) -> Steps[int]:
        """Change those of these rows that are; gives how many were."""
        if not positions:
            return 0
        changed: int = yield self.sql[query](positions=self.listed(positions))
        return changed

    @operation(writes=True)
    def after_success(self, lease: Lease, error: str) -> Steps[None]:
        """Keep what a body raised after its transaction had ended the job well."""
        yield self.sql["after_success"](
            id=lease.job_id, process_id=lease.process_id, run=lease.run, reason=error
        )


def _pieces(jobs: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Jobs in pieces that one statement can carry; nearly always one piece."""
    start = size = 0
    for place, job in enumerate(jobs):
        if place > start and (place - start == MOST_ROWS or size + len(job) > MOST_BYTES):
            yield jobs[start:place]
            start, size = place, 0
        size += len(job)
    yield jobs[start:]


def _bytes(value: str | bytes | bytearray | memoryview) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
