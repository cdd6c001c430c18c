"""What this database does in its own way: inserts, rescue, pruning."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from longshore.core.model import Lease, NewJob
from longshore.core.store import Rescue, Rescued, operation
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
        notes = [(begun, request.note(interrupted=begun)) for begun in started]
        deltas: Deltas = {}
        yield from self.given_back(rows, now, deltas, notes)
        yield from self.counted(deltas)
        yield from self._forgotten(request, now)
        return Rescued(tuple(Lease(row[0], row[2], row[1]) for row in rows), tuple(started))

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
