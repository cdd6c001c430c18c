"""Claims, endings and leases over shards.

A claim goes from shard to shard until it has what it wants, and the next one begins at the next
shard, so that none starves. The lines of a worker are strict over all shards: a shard's second
line is looked at when the first is empty everywhere. Inside one line each claim is in order, and a
better job of another shard waits for one turn. Limits and the turns of values are each shard's own:
the jobs that share a key are in one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from heapq import merge
from itertools import groupby
from typing import Any, Final
from zlib import crc32

import msgspec

from longshore.core.model import Claimed, Ending, Lease, Patch
from longshore.core.shards import Placing
from longshore.core.store import (
    Beat,
    Claim,
    ClaimRequest,
    Exchanged,
    NewProcess,
    Orders,
    ProcessBeat,
    operation,
)
from longshore.stores.sharded.core import Core, Steps
from longshore.stores.sharded.lives import base
from longshore.stores.sharded.reach import (
    Failed,
    Reach,
    Visit,
    answered,
    failed,
    log,
)

#: One claim asks a shard up to so often, each time under a number of its own.
PARTS: Final = 16

#: For how long a shard that had nothing is asked after the others, seconds.
IDLE: Final = 0.02

#: How often it is looked at most under which name a process lives in a shard, seconds.
LOOK: Final = 0.5


#: A beat waits so long for a shard, seconds: while one does not answer, the leases in the others
#: are to be renewed in time, also the shortest that a program may ask for.
BEAT_WAIT: Final = 0.5


class Consuming(Core):
    """What a worker asks for."""

    def __init__(self, reach: Reach, placing: Placing) -> None:
        super().__init__(reach, placing)
        #: Endings for shards that did not answer, to be told when they do.
        self.owed: dict[int, dict[Lease, Ending]] = {}
        self._claimed_as: dict[tuple[str, int], str] = {}
        self._idle_until = [0.0] * len(self.shards)
        self._looked: dict[tuple[str, int], float] = {}
        #: The last claim of each process: its number, and the visits that brought jobs.
        self._last: dict[str, tuple[int, list[tuple[int, ClaimRequest]]]] = {}

    @operation(writes=True)
    def register(self, process: NewProcess) -> Steps[None]:
        """Create a process's record and lease in every shard that answers."""
        self.lives.registered[process.id] = process
        replies = yield from self.tour(lambda shard: shard.register(process))
        answered(replies)

    @operation(writes=True)
    def claim(self, request: ClaimRequest) -> Steps[Claim]:
        """Take jobs of one shard after the other."""
        if self.owed:
            yield from self._finished(())
        return (yield from self._claim(request, self._order(request), None))

    @operation(writes=True)
    def finish(self, endings: Sequence[Ending]) -> Steps[frozenset[Lease]]:
        """Report ends to the shards they belong to."""
        return (yield from self._finished(endings))

    @operation(writes=True)
    def exchange(self, endings: Sequence[Ending], request: ClaimRequest) -> Steps[Exchanged]:
        """Finish, then claim; in one round trip what both concerns the shard whose turn it is."""
        order = self._order(request)
        here: list[Ending] = []
        others: list[Ending] = []
        for ending in endings:
            where = self.where(ending.lease.job_id)
            (here if tuple(where) == (order[0],) else others).append(ending)
        if order[0] in self.reach.down or self._again(request):
            here, others = [], list(endings)
        held = frozenset[Lease]()
        if others or self.owed:
            held = yield from self._finished(others)
        told = _Told(order[0], here)
        claim = yield from self._claim(request, order, told)
        self._owe(order[0], told.endings)
        return Exchanged(held | told.held, claim)

    @operation(writes=True)
    def save(self, patches: Sequence[Patch]) -> Steps[frozenset[Lease]]:
        """Write what running jobs say; what a shard cannot take is left out."""
        groups: dict[int, list[Patch]] = {}
        for patch in patches:
            for shard in self.where(patch.lease.job_id):
                mine = msgspec.structs.replace(patch, lease=self.lease_at(patch.lease))
                groups.setdefault(shard, []).append(mine)
        replies = yield from self.tour_of(
            [Visit(shard, self.shards[shard].save(some)) for shard, some in groups.items()]
        )
        held = _plain(replies)
        for some, reply in zip(groups.values(), replies, strict=True):
            # A step that could not be asked about is neither saved nor refused.
            unsure = [patch for patch in some if patch.steps and _based(patch.lease) not in held]
            if unsure and failed(reply):
                raise reply.error
        return held

    @operation(writes=True)
    def beat(self, beat: Beat) -> Steps[Orders]:
        """Renew leases everywhere; a process that lost one shard alone is registered there anew."""
        ids = [one.id for one in beat.processes]
        replies = yield [
            Visit(shard, self.shards[shard].beat(self._beat_at(beat, shard)), BEAT_WAIT)
            for shard in self.everywhere
        ]
        answered(replies)
        orders = {shard: reply for shard, reply in enumerate(replies) if not failed(reply)}
        lost = {
            process_id: [
                shard
                for shard, one in orders.items()
                if self.lives.name(process_id, shard) in one.lost
            ]
            for process_id in ids
        }
        gone = frozenset(one for one, shards in lost.items() if len(shards) == len(orders))
        yield from self._register_again(
            [(one, shard) for one, shards in lost.items() if one not in gone for shard in shards]
        )
        return Orders(
            lost=gone,
            cancels=tuple(_based(lease) for one in orders.values() for lease in one.cancels),
            parked_kinds=frozenset[str]().union(*(one.parked_kinds for one in orders.values())),
            # Each is registered in every shard, and counted wherever it has been renewed by now.
            processes=max(one.processes for one in orders.values()),
        )

    # --- parts of a claim ---

    def _claim(
        self, request: ClaimRequest, order: Sequence[int], told: _Told | None
    ) -> Steps[Claim]:
        again = self._again(request)
        if again:
            claim = yield from self._claimed_again(request, again)
            if claim.jobs:
                return claim
        jobs: list[Claimed] = []
        claims: list[Claim] = []
        failures: list[Failed] = []
        brought: list[tuple[int, ClaimRequest]] = []
        for number, part in enumerate(_parts(request)):
            taken: list[tuple[Claimed, ...]] = []
            for shard in order:
                before = len(jobs) + sum(map(len, taken))
                left = request.wanted - before
                if left <= 0 and claims:
                    break
                # A job with a rate comes for a slot that no job of another shard will take.
                asked = msgspec.structs.replace(
                    part,
                    wanted=left,
                    claim_id=request.claim_id * PARTS + number,
                    free=max(0, request.free - before),
                )
                reply = yield from self._claim_at(shard, asked, told)
                if failed(reply):
                    failures.append(reply)
                    continue
                claims.append(reply)
                if reply.jobs:
                    brought.append((shard, asked))
                    taken.append(reply.jobs)
                self._note(shard, request.process_id, reply, left)
            # Of one line: the best of the first ones next. Each shard's own order stays, which
            # where values take turns is not that of places.
            jobs += merge(*taken, key=_place)
            if claims and (len(jobs) >= request.wanted or _due_in(claims) == 0):
                break  # a shard that has more at once has not come to the end of this line
        if not claims:
            raise failures[0].error
        live = any(claim.live for claim in claims)
        self._last[request.process_id] = (request.claim_id, brought)
        return Claim(live, tuple(jobs), _due_in(claims) if len(jobs) < request.wanted else None)

    def _again(self, request: ClaimRequest) -> list[tuple[int, ClaimRequest]]:
        """The visits that brought jobs when the same claim was made before."""
        number, brought = self._last.get(request.process_id, (0, []))
        return brought if number == request.claim_id else []

    def _claimed_again(
        self, request: ClaimRequest, brought: list[tuple[int, ClaimRequest]]
    ) -> Steps[Claim]:
        """The jobs of a claim that was made before."""
        claims: list[Claim] = []
        jobs: list[Claimed] = []
        for _, visits in groupby(brought, key=lambda visit: visit[1].claim_id):  # of one line
            taken: list[tuple[Claimed, ...]] = []
            for shard, asked in visits:
                (claim,) = answered([(yield from self._claim_at(shard, asked, None))])
                claims.append(claim)
                taken.append(claim.jobs)
                self._note(shard, request.process_id, claim, asked.wanted)
            jobs += merge(*taken, key=_place)
        return Claim(any(claim.live for claim in claims), tuple(jobs), _due_in(claims))

    def _claim_at(self, shard: int, request: ClaimRequest, told: _Told | None) -> Steps[Any]:
        """Claim from one shard, under the name that the process has there."""
        store, process_id = self.shards[shard], request.process_id
        mine = msgspec.structs.replace(request, process_id=self.lives.name(process_id, shard))
        if told is not None and told.endings and told.shard == shard:
            endings = [self._ending_at(ending) for ending in told.endings]
            reply = yield from self.ask(shard, store.exchange(endings, mine))
            if failed(reply):
                return reply
            told.heard(reply.held)
            reply = reply.claim
        else:
            reply = yield from self.ask(shard, store.claim(mine))
        if failed(reply) or reply.live or not self._may_look(process_id, shard):
            return reply
        records = yield from self.ask(shard, store.processes())
        if failed(records) or not self.lives.follow(process_id, shard, records):
            return reply
        mine = msgspec.structs.replace(mine, process_id=self.lives.name(process_id, shard))
        return (yield from self.ask(shard, store.claim(mine)))

    def _may_look(self, process_id: str, shard: int) -> bool:
        """Whether to ask for its name again: who is registered nowhere would ask at each claim."""
        now, key = time.monotonic(), (process_id, shard)
        if now < self._looked.get(key, 0.0):
            return False
        self._looked[key] = now + LOOK
        return True

    def _order(self, request: ClaimRequest) -> list[int]:
        """The shards, beginning with another one at each claim; idle ones come last."""
        count, now = len(self.shards), time.monotonic()
        start = (request.claim_id + crc32(request.process_id.encode())) % count
        turn = [(start + step) % count for step in range(count)]
        return sorted(turn, key=lambda shard: self._idle_until[shard] > now)

    def _note(self, shard: int, process_id: str, claim: Claim, wanted: int) -> None:
        """Remember where each claimed job is and under which name it was claimed."""
        if len(claim.jobs) < wanted:
            self._idle_until[shard] = time.monotonic() + IDLE
        name = self.lives.name(process_id, shard)
        for job in claim.jobs:
            self.found(job.id, shard)
            if name != process_id:
                self._claimed_as[job.id, job.run] = name

    # --- parts of a report ---

    def _finished(self, endings: Sequence[Ending]) -> Steps[frozenset[Lease]]:
        groups: dict[int, list[Ending]] = {}
        for ending in endings:
            for shard in self.where(ending.lease.job_id):
                groups.setdefault(shard, []).append(ending)
        mine = {ending.lease for ending in endings}
        for shard in [shard for shard in self.owed if shard not in self.reach.down]:
            groups.setdefault(shard, []).extend(self.owed.pop(shard).values())
        held = yield from self._told(groups)
        # An id may name a shard by chance: what is unknown there may be in another one.
        missing = [
            e for e in endings if e.lease not in held and len(self.where(e.lease.job_id)) == 1
        ]
        if missing and len(self.shards) > 1:
            elsewhere: dict[int, list[Ending]] = {}
            for ending in missing:
                if not any(ending.lease in owed for owed in self.owed.values()):
                    (known,) = self.where(ending.lease.job_id)
                    for shard in self.everywhere:
                        if shard != known:
                            elsewhere.setdefault(shard, []).append(ending)
            held |= yield from self._told(elsewhere, owing=False)
        return held & mine

    def _told(
        self, groups: dict[int, list[Ending]], *, owing: bool = True
    ) -> Steps[frozenset[Lease]]:
        """Report to shards; what those that fail are owed is remembered unless all fail."""
        visits = [
            Visit(shard, self.shards[shard].finish([self._ending_at(e) for e in told]))
            for shard, told in groups.items()
        ]
        replies = yield from self.tour_of(visits)
        if owing:
            answered(replies)
            for visit, reply in zip(visits, replies, strict=True):
                if failed(reply):
                    # Those that may be in several shards are looked for where one answers.
                    self._owe(
                        visit.shard,
                        [e for e in groups[visit.shard] if len(self.where(e.lease.job_id)) == 1],
                    )
        held = _plain(replies)
        for lease in held:
            self._claimed_as.pop((lease.job_id, lease.run), None)
            self.strays.pop(lease.job_id, None)
        return held

    def _owe(self, shard: int, endings: Sequence[Ending]) -> None:
        """Keep endings until their shard answers; it runs the jobs again if we are gone by then."""
        if endings:
            self.owed.setdefault(shard, {}).update((ending.lease, ending) for ending in endings)
            log.warning("%d endings wait for %s", len(endings), self.reach.label(shard))

    def tour_of(self, visits: list[Visit]) -> Steps[list[Any]]:
        """Make these visits, if there are any."""
        return (yield visits) if visits else []

    def lease_at(self, lease: Lease) -> Lease:
        """A lease under the name that its process had when it claimed."""
        name = self._claimed_as.get((lease.job_id, lease.run))
        return lease if name is None else Lease(lease.job_id, name, lease.run)

    def _ending_at(self, ending: Ending) -> Ending:
        lease = self.lease_at(ending.lease)
        if lease is ending.lease:
            return ending
        return msgspec.structs.replace(ending, lease=lease)

    # --- parts of a beat ---

    def _beat_at(self, beat: Beat, shard: int) -> Beat:
        told = tuple(
            ProcessBeat(self.lives.name(one.id, shard), one.oldest_claim * PARTS)
            for one in beat.processes
        )
        return Beat(told, beat.lease)

    def _register_again(self, lost: Sequence[tuple[str, int]]) -> Steps[None]:
        """Register processes of ours that are alive in other shards."""
        visits: list[Visit] = []
        for process_id, shard in lost:
            process = self.lives.registered.get(process_id)
            if process is not None:
                name = self.lives.again(process_id, shard)
                log.warning(
                    "%s gave process %s up; it is registered there again",
                    self.reach.label(shard),
                    process_id,
                )
                again = msgspec.structs.replace(process, id=name)
                visits.append(Visit(shard, self.shards[shard].register(again)))
        yield from self.tour_of(visits)


class _Told:
    """Endings that go to a shard together with the first claim there."""

    def __init__(self, shard: int, endings: Sequence[Ending]) -> None:
        self.shard = shard
        self.endings = list(endings)
        self.held = frozenset[Lease]()

    def heard(self, held: frozenset[Lease]) -> None:
        self.held = frozenset(_based(lease) for lease in held)
        self.endings = []


def _parts(request: ClaimRequest) -> list[ClaimRequest]:
    """A claim line by line: the first of each shard before the second of any."""
    lines = request.lines
    if request.parked_kinds or len(lines) <= 1:
        return [request]
    alone = [(line,) for line in lines[: PARTS - 1]]
    rest = [lines[PARTS - 1 :]] if len(lines) >= PARTS else []
    return [msgspec.structs.replace(request, lines=part) for part in (*alone, *rest)]


def _place(job: Claimed) -> tuple[int, int, str]:
    return (job.priority, job.scheduled_at, job.id)


def _due_in(claims: Sequence[Claim]) -> int | None:
    return min((claim.due_in for claim in claims if claim.due_in is not None), default=None)


def _based(lease: Lease) -> Lease:
    """A lease as the process itself knows it."""
    return Lease(lease.job_id, base(lease.process_id), lease.run)


def _plain(replies: Sequence[Any]) -> frozenset[Lease]:
    """The leases that held in any shard."""
    return frozenset(_based(lease) for reply in replies if not failed(reply) for lease in reply)
