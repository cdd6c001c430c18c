"""What this database does in its own way: inserts, rescue, pruning."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.core.model import Lease, NewJob, Why
from longshore.core.store import Rescue, Rescued, operation
from longshore.stores.mysql.core import MySQLCore
from longshore.stores.sql.core import Deltas, add
from longshore.stores.sql.operations import Maintaining, Producing
from longshore.stores.sql.statements import Row, Steps

#: How many numbers of ended jobs are added up at a time.
FOLDED = 10_000


class MySQLProducing(MySQLCore, Producing):
    """Storing jobs."""

    def inserted(self, jobs: Sequence[NewJob]) -> Steps[int]:
        """Write jobs, and when they expire apart from them: few do."""
        expiring = [(job.expires_at, job.id) for job in jobs if job.expires_at is not None]
        if expiring:
            yield self.sql["expiry_add"].many(expiring)
        return (yield from super().inserted(jobs))


class MySQLMaintaining(MySQLCore, Maintaining):
    """Bounded and idempotent; any process may call these at any time."""

    @operation(writes=True)
    def rescue(self, request: Rescue) -> Steps[Rescued]:
        """Give back running jobs whose process is gone."""
        now = yield from self.time()
        gone = [request.dead] if request.dead is not None else (yield from self._gone(now))
        if gone:
            # Held before their jobs: nobody claims for one of these or renews it until we end.
            judged: list[Row] = yield self.sql["judged"](ids=self.listed(gone), lease_now=now)
            live = {process_id for process_id, living in judged if living}
            if request.dead is None:
                gone = [process_id for process_id in gone if process_id not in live]
        rows: list[Row] = []
        for process_id in gone:
            if len(rows) < request.limit:
                rows += yield self.sql["running"](
                    process_id=process_id, limit=request.limit - len(rows)
                )
        started = [request.started is None or (row[0], row[1]) in request.started for row in rows]
        whys = [Why.INTERRUPTED if begun else Why.RELEASED for begun in started]
        deltas: Deltas = {}
        yield from self.given_back(rows, whys, now, deltas)
        yield from self.counted(deltas)
        yield from self._forgotten(request, now)
        return Rescued(tuple(Lease(row[0], row[2], row[1]) for row in rows), tuple(started))

    @operation(writes=True)
    def prune(self, limit: int) -> Steps[int]:
        """Delete ended jobs past their retention, the oldest first; add up the counts."""
        now = yield from self.time()
        rows: list[Row] = yield self.sql["prunable"](now=now, limit=limit)
        deltas: Deltas = {}
        if rows:
            for _, queue, kind, state in rows:
                add(deltas, queue, kind, state, -1)
            yield self.sql["prune"](rowids=self.listed([row[0] for row in rows]))
        yield from self._folded(deltas)
        return len(rows)

    # --- helpers ---

    def _gone(self, now: int) -> Steps[list[str]]:
        rows: list[Row] = yield self.sql["dead_processes"](lease_now=now)
        return [process_id for (process_id,) in rows]

    def _forgotten(self, request: Rescue, now: int) -> Steps[None]:
        """Remove records of the dead after their jobs, never before: nobody would look for them."""
        if request.dead is not None:
            # Nobody can renew it now, so that what is left is found by every later call.
            yield self.sql["process_expire"](id=request.dead)
        idle: list[Row] = yield self.sql["idle_processes"](lease_now=now)
        ids = [row[0] for row in idle if request.dead is None or row[0] == request.dead]
        if ids:
            yield self.sql["process_remove"](ids=self.listed(ids), lease_now=now)

    def _folded(self, deltas: Deltas) -> Steps[None]:
        """Put the numbers of each queue, kind and state together, ours among them."""
        rows: list[Row] = yield self.sql["folded"](limit=FOLDED)
        seen: Deltas = dict(deltas)
        for _, queue, kind, state, jobs in rows:
            add(seen, queue, kind, state, jobs)
        if len(rows) <= len(seen):
            yield from self.counted(deltas)
            return
        yield self.sql["count_remove"](positions=self.listed([row[0] for row in rows]))
        yield from self.counted(seen)
