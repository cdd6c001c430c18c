"""What a PostgreSQL store does otherwise than other SQL stores, and what its statements are told.

A statement may be *alone*: it is all that its operation writes and needs no transaction around it,
so that it costs one round trip with its commit. Most calls of a worker and of who enqueues one job
are such. Where an alone statement finds that it cannot be all, it changes nothing, and the
operation goes on in a transaction, statement by statement.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from longshore.core.store import Retention
from longshore.ids import is_id
from longshore.stores.clock import Clock
from longshore.stores.sql.core import Core, Deltas
from longshore.stores.sql.statements import Query, Statement, Steps, as_json

DAY: Final = 86_400_000_000

#: A client says at most this often that there is work, seconds; who hears it looks again a little
#: later, for what was not said.
HINT_EVERY: Final = 0.005
#: The same of jobs that have ended, in the commit that ends them: those that tell are written to
#: disk one after the other, whoever sends them. And of so many that may not, it is said apart.
END_EVERY: Final = 0.02
FEW: Final = 8


class Alone(Statement):
    """A statement that is all that its operation writes, or reads."""

    __slots__ = ()


class Copy(Statement):
    """Rows sent in bulk; ``params`` are the rows."""

    __slots__ = ()


class Refused(Exception):
    """An alone statement has found that it cannot be all; nothing has happened."""


class PostgresCore(Core):
    """The hooks of :class:`longshore.stores.sql.core.Core` for PostgreSQL."""

    database: ClassVar[str] = "postgres"
    tells: ClassVar[bool] = True

    def __init__(
        self, retention: Retention, clock: Clock | None, prefix: str, *, quick: bool = True
    ) -> None:
        """``quick``: the connections are the store's own, so that statements may be alone."""
        super().__init__(retention, clock, prefix)
        self.quick = quick
        #: The number of the first lock: others in the same database have others.
        self.first_lock = zlib.crc32(f"longshore {prefix}".encode()) << 16
        self.channel = f"{prefix}jobs"
        #: A lock that is shared by workers that wait for jobs: who can have it sees that nobody
        #: does. Commits that tell wait for each other's disk.
        self.ear = -1 - self.first_lock
        #: Jobs with limits that were claimed here, as far as it is known that they still run.
        self.slots: dict[str, bool] = {}
        self._hinted = 0.0
        self._told_end = 0.0
        self._day = -1
        self._bounds: dict[str, Any] = {}

    # --- hooks ---

    def listed(self, values: Sequence[Any]) -> Any:
        """An array; a list of lists, whose values are of several types, as JSON."""
        if values and isinstance(values[0], list | tuple):
            return as_json(values)
        return list(values)

    def ids(self, ids: Sequence[str]) -> Any:
        """An array of those that are ids at all."""
        return [job_id for job_id in ids if is_id(job_id)]

    def octets(self, stored: Any) -> bytes:
        """A payload, which is text in its column."""
        text: str = stored
        return text.encode()

    def counted(self, deltas: Deltas) -> Steps[None]:  # noqa: ARG002 - known there, with the day
        """Nothing: what ends a job or takes it away counts it in the same statement."""
        yield from ()

    def told(self) -> Steps[None]:
        """Tell those who listen."""
        yield self.sql["notify"](channel=self.channel)

    def told_apart(self, ended: int) -> Steps[None]:
        """Tell those who wait for ends that a few jobs have ended, which their commit did not.

        Of many the next commit tells, and who waits looks again by himself.
        """
        if ended <= FEW and self.heard:
            yield Alone(self.sql["notify_end"], {"channel": self.channel, "ear": self.ear})

    # --- what statements are told ---

    @property
    def heard(self) -> bool:
        """Whether anybody may listen."""
        return True

    def given_now(self) -> int | None:
        """The time, where a clock of ours decides and not the server's."""
        return None if self.clock is None else self.clock.wall_us()

    def listened(self, *, tell: bool) -> dict[str, Any]:
        """What a statement takes that tells, with ``tell``, while somebody waits.

        In a transaction of others the commit may come long after a look at who waits.
        """
        ear = self.ear if self.quick else None
        return {"channel": self.channel, "notify": tell, "ear": ear}

    def hint(self, *, end: bool = False) -> bool:
        """Whether to tell now that there is work, or with ``end`` that jobs have ended."""
        if not self.quick:
            return True  # nobody knows when this transaction is committed
        now = time.monotonic()
        if end:
            if now < self._told_end + END_EVERY:
                return False
            self._told_end = now
        else:
            if now < self._hinted + HINT_EVERY:
                return False
            self._hinted = now
        return True

    def ending(self) -> dict[str, Any]:
        """Into which day's partition jobs go that succeed now, and which are kept for how long.

        The day is this machine's: it only decides where rows lie.
        """
        now = time.time_ns() // 1000 if self.clock is None else self.clock.wall_us()
        day = now // DAY
        if day != self._day:
            kept = self.kept["succeeded"]
            self._bounds = {
                "today": day,
                "from_yesterday": first_id(day - 1),
                "from_today": first_id(day),
                "from_tomorrow": first_id(day + 1),
                "kept": kept,
                # A day is dropped when all of it is past its time: longer ones would hold it back.
                "near": DAY if kept is None else max(kept, DAY),
            }
            self._day = day
        return {**self._bounds, "now": self.given_now()}


def first_id(day: int) -> str:
    """What sorts before every id of a day, counted from 1970."""
    millisecond = day * (DAY // 1000)
    return f"{millisecond >> 16:08x}-{millisecond & 0xFFFF:04x}-0000-0000-000000000000"


def literal(query: Query, **values: int) -> Query:
    """A query with whole numbers put into its text, where no parameter may stand."""
    text = query.text
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(int(value)))
    return Query(query.name, text)
