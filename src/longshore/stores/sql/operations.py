"""What applications and workers ask of a SQL store: each operation written once, without I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import json

from longshore.core.batches import Together, strangers
from longshore.core.model import Ending, Inserted, Lease, NewJob, Patch
from longshore.core.store import (
    Beat,
    Claim,
    ClaimRequest,
    Exchanged,
    NewProcess,
    Orders,
    Rescue,
    Rescued,
    operation,
)
from longshore.stores.sql.claim import Claiming
from longshore.stores.sql.core import TEXT, Deltas, add
from longshore.stores.sql.finish import Finishing
from longshore.stores.sql.holds import Holding, hold_of, ruled_columns
from longshore.stores.sql.notes import Noting
from longshore.stores.sql.statements import REPEATED, UNDO, Row, Steps, as_json
from longshore.stores.sql.walk import is_once


class Producing(Holding):
    """Storing jobs."""

    @operation(writes=True)
    def insert(
        self, jobs: Sequence[NewJob], together: Together | None = None
    ) -> Steps[Sequence[Inserted]]:
        """Store jobs, all or none."""
        if together is not None:
            return (yield from self.stored_together(jobs, together))
        if not jobs:
            return []
        again: bool = self.remote and (yield REPEATED)
        return (yield from self.stored(jobs, again=again))

    def stored_together(
        self, jobs: Sequence[NewJob], together: Together
    ) -> Steps[Sequence[Inserted]]:
        """Store jobs with what they belong to, all or none."""
        again: bool = self.remote and (yield REPEATED)
        answers: Sequence[Inserted] = []
        if jobs:
            answers = yield from self.stored(jobs, again=again)
        told = zip(jobs, answers, strict=True)
        fresh = {job.id for job, one in told if not (one.duplicate or one.conflict)}
        there = {one.id for one in answers if one.duplicate and not one.held} - fresh
        if alien := strangers(jobs, together, there):
            yield UNDO
            return [Inserted(job.id, conflict=job.id in alien) for job in jobs]
        if not (yield from self.in_time(jobs, together, answers)):
            yield UNDO
            return [Inserted(job.id, conflict=True, late=True) for job in jobs]
        if not any(answer.conflict for answer in answers):
            yield from self.joined_together(jobs, together, answers)
        return answers

    def stored(self, jobs: Sequence[NewJob], *, again: bool) -> Steps[Sequence[Inserted]]:
        """Store jobs, all or none; ``again``: they may be there by an earlier try of this call."""
        now = 0
        ruled = [job for job in jobs if job.rules is not None]
        if any(hold.ttl is not None for job in ruled if (hold := hold_of(job)) is not None):
            now = yield from self.time()
        if (yield from self._all_new(jobs, now, again=again)):
            return [Inserted(job.id) for job in jobs]
        while True:
            # Which of them were there cannot be told from those just written: look, then write.
            yield UNDO
            now = now or (yield from self.time())
            verdict = yield from self.judged(jobs, now)
            yield from self.settled(verdict, now)
            new = list(verdict.new.values())
            if (yield from self._all_new(new, now, again=again)):
                return verdict.answers

    def _all_new(self, jobs: Sequence[NewJob], now: int, *, again: bool) -> Steps[bool]:
        """Write jobs; whether none of them was there. If one was, this has to be undone."""
        written = yield from self.inserted(jobs, now)
        if written < len(jobs):
            return False
        known = [job.id for job in jobs if again or not job.fresh]
        if known:
            # Looked at after the write: what was live until then would be missed before it.
            ended: list[Row] = yield self.sql["leased_ended"](ids=self.ids(known))
            return not ended
        return True

    def inserted(self, jobs: Sequence[NewJob], now: int) -> Steps[int]:
        """Write jobs but leave those alone that wait or run already, or whose key is held.

        Returns how many were written. ``now`` is only looked at where a hold has a time.
        """
        plain: list[Row] = []
        rich: list[Row] = []
        for job in jobs:
            state = TEXT[job.state]
            row = (
                job.id,
                state,
                job.queue,
                job.priority,
                job.scheduled_at,
                job.max_attempts,
                job.created_at,
                job.keep_result,
                job.kind,
                job.payload,
            )
            if (
                job.rules is None
                and job.expires_at is None
                and job.timeout is None
                and job.identity is None
                and not (job.tags or job.meta)
            ):
                plain.append(row)
            else:
                tags = as_json(job.tags) if job.tags else None
                meta = json.encode(job.meta) if job.meta else None
                ruled = ruled_columns(job, now)
                rich.append((*row, job.expires_at, job.timeout, tags, meta, *ruled))
        written = 0
        rules = jobs[0].rules if len(jobs) == 1 else None
        whole = len(jobs) == 1 and jobs[0].fresh and not (rules and rules.bundles)
        if plain:
            written += yield self.sql["insert_plain"].many(plain, whole=whole)
        if rich:
            written += yield self.sql["insert"].many(rich, whole=whole)
        return written


class Consuming(Finishing, Claiming, Noting):
    """Claims, endings and leases."""

    @operation(writes=True)
    def register(self, process: NewProcess) -> Steps[None]:
        """Create a process's record and lease."""
        now = yield from self.time()
        yield self.sql["register"](
            id=process.id,
            app=process.app,
            name=process.name,
            host=process.host,
            pid=process.pid,
            queues=as_json(process.queues),
            kinds=as_json(process.kinds),
            slots=process.slots,
            embedded=int(process.embedded),
            version=process.version,
            now=now,
            expires_at=self.lease_end(now, process.lease),
            **self.lease_time(now),
        )

    @operation(writes=True)
    def claim(self, request: ClaimRequest) -> Steps[Claim]:
        """Promote what is due, then take jobs."""
        deltas: Deltas = {}
        now = yield from self.time()
        claim = yield from self.claimed(request, now, deltas)
        yield from self.counted(deltas)
        return claim

    @operation(writes=True)
    def finish(self, endings: Sequence[Ending]) -> Steps[frozenset[Lease]]:
        """Report ends, in any mixture."""
        deltas: Deltas = {}
        now = yield from self.time()
        held = yield from self.finished(endings, now, deltas)
        yield from self.counted(deltas)
        if self.tells and held:
            yield from self.told()
        return held

    @operation(writes=True)
    def exchange(self, endings: Sequence[Ending], request: ClaimRequest) -> Steps[Exchanged]:
        """Finish, then claim, in one commit."""
        deltas: Deltas = {}
        now = yield from self.time()
        held = yield from self.finished(endings, now, deltas)
        claim = yield from self.claimed(request, now, deltas)
        yield from self.counted(deltas)
        if self.tells and held:
            yield from self.told()
        return Exchanged(held, claim)

    @operation(writes=True)
    def save(self, patches: Sequence[Patch]) -> Steps[frozenset[Lease]]:
        """Write progress, steps and log lines of running jobs."""
        rows: list[Row] = yield self.sql["leased"](
            ids=self.ids([patch.lease.job_id for patch in patches])
        )
        running = {
            (job_id, process, run) for job_id, state, process, run, *_ in rows if state == "running"
        }
        held = [
            patch
            for patch in patches
            if (patch.lease.job_id, patch.lease.process_id, patch.lease.run) in running
        ]
        said = [(p.lease.job_id, json.encode(p.progress)) for p in held if p.progress is not None]
        if said:
            yield self.sql["save"].many(said)
        yield from self.noted(held)
        return frozenset(patch.lease for patch in held)

    @operation(writes=True)
    def beat(self, beat: Beat) -> Steps[Orders]:
        """Renew leases, give back claims that never arrived, fetch orders."""
        renewed = yield from self.renewed_ahead(beat)
        now = yield from self.time()
        ids = [child.id for child in beat.processes]
        rows: list[Row] = yield self.sql["kept_processes"](
            ids=self.listed(ids), **self.lease_time(now)
        )
        live = [process_id for (process_id,) in rows]
        lost = frozenset(ids).difference(live)
        if beat.lease is not None and live and not renewed:
            until = self.lease_end(now, beat.lease)
            yield self.sql["renew"].many([(process_id, until, now) for process_id in live])
        deltas: Deltas = {}
        for child in beat.processes:
            if child.id not in lost:
                rows = yield self.sql["unreached"](
                    process_id=child.id, oldest_claim=child.oldest_claim, limit=1000
                )
                yield from self.given_back(rows, now, deltas)
        yield from self.counted(deltas)
        cancels: list[Row] = yield self.sql["cancels"](ids=self.listed(live))
        kinds: list[Row] = yield self.sql["parked_kinds"]()
        leases: list[Row] = yield self.sql["leases"](**self.lease_time(now))
        return Orders(
            lost=lost,
            cancels=tuple(Lease(*row) for row in cancels),
            parked_kinds=frozenset(kind for (kind,) in kinds),
            processes=leases[0][0],
        )

    def renewed_ahead(self, beat: Beat) -> Steps[bool]:  # noqa: ARG002 - for stores that do it
        """Renew leases before all else of a beat, if this store does; whether it did."""
        yield from ()
        return False


class Maintaining(Claiming, Noting):
    """Bounded and idempotent; any process may call these at any time."""

    @operation(writes=True)
    def elect(self, process_id: str, lease: int) -> Steps[bool]:
        """Become or stay the one that prunes."""
        now = yield from self.time()
        lease_time = self.lease_time(now)
        rows: list[Row] = yield self.sql["leader"](**lease_time)
        if rows and rows[0][0] != process_id:
            return False
        expires_at = self.lease_end(now, lease)
        yield self.sql["elect"](process_id=process_id, expires_at=expires_at, **lease_time)
        # On a server another may have been elected since the look.
        rows = yield self.sql["leader"](**lease_time)
        return bool(rows) and rows[0][0] == process_id

    @operation(writes=True)
    def promote(self, limit: int) -> Steps[int]:
        """Make due jobs available; cancel those that have expired."""
        now = yield from self.time()
        deltas: Deltas = {}
        expired = yield from self.expired(limit, now, deltas)
        promoted = yield from self.promoted(limit, now)
        restraints = yield from self.restrained(now)
        if restraints.opens is not None and restraints.opens <= now:
            yield from self.opened(now)
        yield from self.healed(limit, now)
        yield from self.counted(deltas)
        return expired + promoted

    @operation(writes=True)
    def rescue(self, request: Rescue) -> Steps[Rescued]:
        """Give back running jobs whose process is gone."""
        now = yield from self.time()
        known, gone, withheld = yield from self._gone(request, now)
        rows: list[Row] = []
        for process_id in gone:
            if len(rows) < request.limit:
                rows += yield self.sql["running"](
                    process_id=process_id, limit=request.limit - len(rows)
                )
        notes = [
            request.fate((row[0], row[1]), once=is_once(row[-1]), history=_text(row[-2]))
            for row in rows
        ]
        deltas: Deltas = {}
        yield from self.given_back(rows, now, deltas, notes)
        yield from self.counted(deltas)
        taken = {row[2] for row in rows}
        for process_id in known:
            if process_id in taken or process_id == request.dead:
                # Nobody can renew it now, so that what is left is found by every later call.
                yield self.sql["process_expire"](id=process_id)
        # A record goes after its rows, never before: without it nobody would look for them.
        lease_time = self.lease_time(now)
        idle: list[Row] = yield self.sql["idle_processes"](**lease_time)
        over = [process_id for process_id, _ in idle if request.dead in (None, process_id)]
        if request.dead is None and request.patience is not None:
            over = yield from self._believed(over, dict(idle), request.patience, now)
        if over:
            yield self.sql["process_remove"](ids=self.listed(over), **lease_time)
        if request.dead not in (None, *over) and len(rows) < request.limit:
            # No record went, so there may be jobs yet, which `running` passed over.
            counts: list[Row] = yield self.sql["running_counts"]()
            withheld = sum(jobs for process_id, jobs in counts if process_id == request.dead)
        if self.tells and rows:
            yield from self.told()
        leases = tuple(Lease(row[0], row[2], row[1]) for row in rows)
        return Rescued(leases, tuple(interrupted for interrupted, _ in notes), withheld)

    @operation(writes=True)
    def prune(self, limit: int) -> Steps[int]:
        """Delete ended jobs past their retention, the oldest first."""
        now = yield from self.time()
        yield from self.put_off(now, limit)
        rows: list[Row] = yield self.sql["prunable"](now=now, limit=limit)
        if rows:
            deltas: Deltas = {}
            for _, queue, kind, state in rows:
                add(deltas, queue, kind, state, -1)
            yield self.sql["prune"](rowids=self.listed([row[0] for row in rows]))
            yield from self.counted(deltas)
            yield self.sql["prune_counts"]()
        if (yield self.sql["starts_gone"](now=now)):
            yield self.sql["starts_forget"](now=now)
        yield from self.notes_swept()
        yield from self.pruned_bundles(now, limit)
        return len(rows)

    # --- parts of a rescue ---

    def _gone(self, request: Rescue, now: int) -> Steps[tuple[list[str], list[str], int]]:
        """Which processes have records and which are gone; how many jobs the others keep."""
        lease_time = self.lease_time(now)
        found = [(request.dead,)]
        if request.dead is None:
            found = yield self.sql["dead_processes"](**lease_time)
            if not found:
                return [], [], 0
        gone = [process_id for (process_id,) in found if process_id is not None]
        # Held before their jobs: nobody claims for one of these or renews it until we end.
        judged: list[Row] = yield self.sql["judged"](ids=self.listed(gone), **lease_time)
        known = [process_id for process_id, _, _ in judged]
        if request.dead is not None:
            return known, gone, 0
        live = {process_id for process_id, living, _ in judged if living}
        gone = [process_id for process_id in gone if process_id not in live]
        if request.patience is None or not gone:
            return known, gone, 0
        ends = {process_id: end for process_id, _, end in judged}
        believed = yield from self._believed(gone, ends, request.patience, now)
        kept = set(gone).difference(believed)
        if not kept:
            return known, gone, 0
        rows: list[Row] = yield self.sql["running_counts"]()
        return known, believed, sum(jobs for process_id, jobs in rows if process_id in kept)

    def _believed(
        self, gone: list[str], ends: Mapping[str, int], patience: int, now: int
    ) -> Steps[list[str]]:
        """Of processes without a lease those that were found so long ago enough.

        Since when one is doubted lies in its record, below zero, until a beat renews it.
        """
        moment = self.lease_end(now, 0)
        believed: list[str] = []
        for process_id in gone:
            end = ends.get(process_id, 0)
            # A doubt that begins in the future is from before the server's clock was set back.
            if end > 0 or -end > moment:
                yield self.sql["process_doubt"](id=process_id, since=-moment)
            elif end == 0 or patience - end <= moment:
                believed.append(process_id)
        return believed


def _text(runs: bytes | str | None) -> str:
    """A stored history as text."""
    return "" if runs is None else runs if isinstance(runs, str) else runs.decode()
