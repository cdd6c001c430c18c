"""What this database does in its own way: inserts, pruning."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from longshore.core.model import NewJob
from longshore.core.store import operation
from longshore.stores.mysql.core import MySQLCore
from longshore.stores.sql.core import Deltas, add
from longshore.stores.sql.holds import Verdict, hold_of
from longshore.stores.sql.operations import Maintaining, Producing
from longshore.stores.sql.statements import Row, Steps

#: How many numbers of ended jobs are added up at a time.
FOLDED = 10_000

#: At how many entries that may have outlived their jobs one call looks.
SWEPT = 500


class MySQLProducing(MySQLCore, Producing):
    """Storing jobs."""

    def inserted(self, jobs: Sequence[NewJob], now: int) -> Steps[int]:
        """Write jobs, and apart from them what few have: a unique key, an identity, an end."""
        holds: list[Row] = []
        for job in jobs:
            hold = hold_of(job)
            if hold is not None:
                holds.append((hold.key, job.id, None if hold.ttl is None else now + hold.ttl))
        # Keys first and in one order: who meets one that is held has written nothing.
        if holds and (yield self.sql["hold_add"].many(sorted(holds))) < len(holds):
            return 0
        yield from self._noted(jobs)
        return (yield from super().inserted(jobs, now))

    def settled(self, verdict: Verdict, now: int) -> Steps[None]:
        """Write what becomes of jobs that hold keys."""
        yield from super().settled(verdict, now)
        yield from self._noted(
            [replace(job, id=job_id) for job_id, job in verdict.replaced.items()]
        )

    def _noted(self, jobs: Sequence[NewJob]) -> Steps[None]:
        """Note when jobs expire and by what they are identified."""
        expiring = [(job.expires_at, job.id) for job in jobs if job.expires_at is not None]
        if expiring:
            yield self.sql["expiry_add"].many(expiring)
        identified = [(job.identity, job.id) for job in jobs if job.identity is not None]
        if identified:
            yield self.sql["identity_add"].many(identified)


class MySQLMaintaining(MySQLCore, Maintaining):
    """Bounded and idempotent; any process may call these at any time."""

    #: How far identities have been looked at.
    _swept_to = ""

    @operation(writes=True)
    def prune(self, limit: int) -> Steps[int]:
        """Delete ended jobs past their retention, the oldest first; add up the counts."""
        now = yield from self.time()
        yield from self.put_off(now, limit)
        rows: list[Row] = yield self.sql["prunable"](now=now, limit=limit)
        deltas: Deltas = {}
        if rows:
            for _, queue, kind, state in rows:
                add(deltas, queue, kind, state, -1)
            yield self.sql["prune"](rowids=self.listed([row[0] for row in rows]))
        yield from self._folded(deltas)
        yield from self._swept(now)
        yield from self.pruned_bundles(now, limit)
        return len(rows)

    # --- helpers ---

    def _swept(self, now: int) -> Steps[None]:
        """Forget what tells nothing any more: starts, gates, identities."""
        if (yield self.sql["starts_gone"](now=now)):
            yield self.sql["starts_forget"](now=now)
        rows: list[Row] = yield self.sql["gates_stale"](limit=SWEPT)
        if rows:
            keys = sorted({key for (key,) in rows})
            yield from self.locked(keys)
            yield self.sql["gate_forget"](keys=self.listed(keys))
        rows = yield self.sql["identities"](after=self._swept_to, limit=SWEPT)
        self._swept_to = rows[-1][0] if len(rows) == SWEPT else ""
        gone = [job_id for job_id, there in rows if not there]
        if gone:
            yield self.sql["identity_remove"](ids=self.ids(gone))
        yield from self.notes_swept()

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
