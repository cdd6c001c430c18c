"""What the operations of every SQL store stand on: queries, the time, and the steps they share.

The operations of this package are written once for all databases. What differs is in the text of
the queries and in the hooks of :class:`Core`: which database it is, who says what time it is, what
leases count in, and how a list of values travels. A store overrides these, and any step that its
database can do in fewer statements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from longshore.core.model import JobState
from longshore.core.store import Retention
from longshore.stores.clock import Clock
from longshore.stores.sql.statements import Queries, Row, Steps, as_json

#: What an operation adds to the number of ended jobs of each queue, kind and state. Those that
#: wait or run are counted when somebody asks: an insert then only adds a row and its entries.
Deltas: TypeAlias = dict[tuple[str, str, str], int]


class Core:
    """The queries of one store and the few steps that several operations take."""

    #: Where its queries and migrations are.
    database: ClassVar[str]
    #: Whether replies travel, and may be lost after the commit.
    remote: ClassVar[bool] = True
    #: Whether it tells those who watch: then there is a step ``told``.
    tells: ClassVar[bool] = False

    def __init__(self, retention: Retention, clock: Clock | None, prefix: str) -> None:
        self.sql = Queries(self.database, prefix)
        self.clock = clock
        self.kept: Mapping[str, int | None] = {
            "succeeded": retention.succeeded,
            "cancelled": retention.cancelled,
            "dead": retention.dead,
        }

    # --- where databases differ ---

    def time(self) -> Steps[int]:
        """What time it is by the store's clock, which without one of ours is the server's."""
        if self.clock is not None:
            return self.clock.wall_us()
        rows: list[Row] = yield self.sql["now"]()
        now: int = rows[0][0]
        return now

    def lease_time(self, now: int) -> Mapping[str, Any]:
        """The time by which leases are judged, as queries take it."""
        return {"lease_now": now}

    def lease_end(self, now: int, lease: int) -> int:
        """When a lease given now ends, by that time."""
        return now + lease

    def listed(self, values: Sequence[Any]) -> Any:
        """A list as a query takes it."""
        return as_json(values)

    def ids(self, ids: Sequence[str]) -> Any:
        """Ids of jobs as a query takes them; no job has an id that is none."""
        return self.listed(ids)

    def told(self) -> Steps[None]:
        """Tell those who watch, once this is committed, that jobs can be claimed or have ended."""
        yield self.sql["notify"]()

    def octets(self, stored: Any) -> bytes:
        """A payload as it was given, from its column."""
        octets: bytes = stored
        return octets

    # --- steps that several operations take ---

    def counted(self, deltas: Deltas) -> Steps[None]:
        """Write what an operation has added to the counts."""
        rows = [(*key, jobs) for key, jobs in deltas.items() if jobs]
        if rows:
            yield self.sql["count_add"].many(rows)

    def kept_until(self, state: str, keep_result: int | None, now: int) -> int | None:
        """How long a job that ends now stays; ``None`` for ever, now not at all."""
        kept = self.kept[state]
        return None if kept is None or keep_result is None else now + max(kept, keep_result)


def add(deltas: Deltas, queue: str, kind: str, state: str, jobs: int) -> None:
    """Count ended jobs in or out of a state."""
    key = (queue, kind, state)
    deltas[key] = deltas.get(key, 0) + jobs


#: The text of a state, without the cost of asking an enumeration for it.
TEXT: Mapping[JobState, str] = {state: state.value for state in JobState}
