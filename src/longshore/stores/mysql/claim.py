"""How a MariaDB or MySQL database gives out jobs: few statements, and nobody waits for anybody.

A job that is claimed leaves an entry in the index of ready jobs until the server purges it, within
a second or so. To step over thousands of these while holding what one sees is slow, to read over
them is not. So a claim reads where the first jobs stand, holding nothing, and takes from there on
what nobody else takes just now.

Who drains one queue by large claims need not even read over them each time: the next claim begins
where the last one ended, for as long as jobs may run ahead of a better one (50 ms).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import json

from longshore.core.model import Claimed
from longshore.core.store import Claim, ClaimRequest, Line, Retention, operation
from longshore.stores.clock import Clock
from longshore.stores.lines import names, serves
from longshore.stores.mysql.core import MySQLCore
from longshore.stores.sql.claim import ROUNDS, STEP, TAGS
from longshore.stores.sql.core import Deltas
from longshore.stores.sql.fronts import (
    FEW,
    Fronts,
    Place,
    id_of,
    parts_of,
    place_of,
    queue_of,
    served_of,
)
from longshore.stores.sql.operations import Consuming
from longshore.stores.sql.statements import Row, Steps
from longshore.stores.sql.turns import InOrder
from longshore.stores.sql.walk import Restraints, Walk, limits_of
from longshore.stores.sql.walking import Read, in_order

#: How many jobs a claim must want to begin where the last one ended, and for how long, seconds.
STREAMING = 50
STREAMED = 0.05

#: From so many queues on one statement looks at the first jobs of all, two of each.
MANY = 16
PAIR = 2

#: So many jobs at least are held in one statement, where others may have most of them.
HELD = 16


class Stream(NamedTuple):
    """A queue that is being drained: where a claim that was served in full has ended."""

    after: Place
    until: float

    def goes_on(self, wanted: int, paused: frozenset[str]) -> bool:
        """Whether the next claim may begin there."""
        return (
            wanted >= STREAMING
            and time.monotonic() < self.until
            and queue_of(self.after) not in paused
        )


class Look(msgspec.Struct, frozen=True):
    """What a claim knows before it begins; the fields are the columns of the query ``look``."""

    now: int
    expires_at: int | None
    again: int
    due: int | None
    expires: int | None
    opens: int | None
    restrained: int

    @property
    def live(self) -> bool:
        return self.expires_at is not None and self.expires_at > self.now

    @property
    def special(self) -> bool:
        """Whether to ask what restrains this claim."""
        return bool(self.restrained) or (self.opens is not None and self.opens <= self.now)


class Taken(NamedTuple):
    """What a claim has taken, in order; ``again``: there was more to do than it may."""

    jobs: tuple[Claimed, ...]
    again: bool = False
    walked: bool = False


class MySQLWalk(Walk):
    """A walk that waits for the locks of keys once.

    Who waited again, holding some, would wait for those who wait for these: what is not free then
    is left to others, and the claim says to come again.
    """

    __slots__ = ("waited",)
    waited: bool


class MySQLClaiming(MySQLCore, Consuming):
    """The steps of a claim."""

    def __init__(self, retention: Retention, clock: Clock | None, prefix: str) -> None:
        super().__init__(retention, clock, prefix)
        self._streams: dict[Line, Stream] = {}

    @operation(writes=True)
    def claim(self, request: ClaimRequest) -> Steps[Claim]:
        """Promote what is due, then take jobs."""
        deltas: Deltas = {}
        look = yield from self.looked(request)
        claim = yield from self.given(request, look, look.due, deltas)
        yield from self.counted(deltas)
        return claim

    def promoted(self, limit: int, now: int) -> Steps[int]:
        """Make due jobs available."""
        first: list[Row] = yield self.sql["next_due"]()
        if not first or first[0][0] > now:
            return 0
        return len((yield from self._promoted(limit, first[0][0], now)))

    def expired(self, limit: int, now: int, deltas: Deltas) -> Steps[int]:
        """Cancel jobs that may not start any more."""
        rows: list[Row] = yield self.sql["expiring"](now=now, limit=limit)
        if rows:
            ids = self.ids([row[0] for row in rows])
            jobs: list[Row] = yield self.sql["expired"](ids=ids, now=now)
            yield from self.cancelled(jobs, "expired", now, deltas)
            yield self.sql["expiry_remove"](ids=ids, now=now)
        return len(rows)

    def claims(self, rows: list[Row]) -> tuple[Claimed, ...]:
        """Rows of the queries ``ready_...`` and ``claimed_again``: their numbers come as one text.

        A driver that is written in Python takes a microsecond for each column.
        """
        records: list[Claimed] = []
        for job_id, kind, queue, payload, numbers, budgets, tags, meta, _ in rows:
            (
                run, priority, failures, interruptions, max_attempts, scheduled_at, created_at,
                claimed_at, timeout, keep_result,
            ) = _NUMBERS.decode(numbers)  # fmt: skip
            records.append(
                Claimed(
                    job_id, run, kind, queue, payload, priority, failures, interruptions,
                    max_attempts, scheduled_at, created_at, claimed_at, timeout, keep_result,
                    budgets, () if tags is None else TAGS.decode(tags), meta,
                )
            )  # fmt: skip
        return tuple(records)

    def walked_claims(self, rows: list[Row]) -> tuple[Claimed, ...]:
        """As :meth:`claims`, of rows of the queries ``ready_ids`` and ``ready_parked``."""
        return Consuming.claims(self, rows)

    def taken_up(
        self, claim: Walk, ids: Sequence[str], read: Read | None, now: int
    ) -> Steps[list[Row]]:
        """Begin runs of what a walk has chosen; the rows as the query ``ready_ids`` gives them."""
        taken = yield from super().taken_up(claim, ids, read, now)
        return taken if read is None else [_in_full(row, now) for row in taken]

    def keys_held(self, claim: Walk, keys: Sequence[str]) -> Steps[frozenset[str] | None]:
        """Lock keys: all of them the first time, those that are free later."""
        waits = not (isinstance(claim, MySQLWalk) and claim.waited)
        held = yield from (self.locked(keys) if waits else self.keys_free(keys))
        if isinstance(claim, MySQLWalk):
            claim.waited = True
        claim.now = yield from self.time()
        return held

    def turns_held(self, claim: Walk, queues: Sequence[str]) -> Steps[frozenset[str] | None]:
        """Lock the turns of queues: before any key, else those that are free."""
        if isinstance(claim, MySQLWalk) and claim.waited:
            return (yield from self.turns_free(queues))
        return (yield from self.turns_locked(queues))

    def looked(self, request: ClaimRequest) -> Steps[Look]:
        """What a claim has to know first; holds the process until the operation ends."""
        rows: list[Row] = yield self.sql["look"](
            now=None if self.clock is None else self.clock.wall_us(),
            process_id=request.process_id,
            claim_id=request.claim_id,
        )
        return Look(*rows[0])

    def given(
        self,
        request: ClaimRequest,
        look: Look,
        due: int | None,
        deltas: Deltas,
        *,
        reported: bool = False,
        waited: bool = False,
    ) -> Steps[Claim]:
        """The claim itself.

        ``due``: when the next job falls due, or earlier; ``reported``: runs have ended in this
        transaction whose jobs may have rules; ``waited``: it has waited for keys already.
        """
        now = look.now
        if not look.live:
            return Claim(live=False)
        rows: list[Row]
        if look.again:
            rows = yield self.sql["claimed_again"](
                process_id=request.process_id, claim_id=request.claim_id
            )
            return Claim(live=True, jobs=self.claims(rows))
        special = look.special or reported
        if due is not None and due <= now:
            promoted = yield from self._promoted(STEP, due, now)
            special = special or any(turns for _, turns in promoted)
        if look.expires is not None and look.expires <= now:
            for _ in range(ROUNDS):
                if (yield from self.expired(STEP, now, deltas)) < STEP:
                    break
            else:
                # So many have expired that the others would have to be searched for: come again.
                return Claim(live=True, due_in=0)
        if request.wanted <= 0:
            return Claim(live=True)
        restraints = _NONE
        if special:
            restraints = yield from self.unrestrained(now)
        taken = yield from self._wanted(request, restraints, now, waited=reported or waited)
        due_in = None
        if len(taken.jobs) < request.wanted:
            opens = look.opens is not None or taken.walked
            due_in = 0 if taken.again else (yield from self.due_in(now, opens=opens))
        return Claim(live=True, jobs=taken.jobs, due_in=due_in)

    # --- helpers ---

    def _promoted(self, limit: int, first: int, now: int) -> Steps[list[Row]]:
        rows: list[Row] = yield self.sql["due"](first=first, now=now, limit=limit)
        if rows:
            yield self.sql["promote"](ids=self.ids([row[0] for row in rows]))
        return rows

    def _wanted(
        self, request: ClaimRequest, restraints: Restraints, now: int, *, waited: bool
    ) -> Steps[Taken]:
        """Take the jobs of a claim, in order."""
        if request.parked_kinds:
            claim = yield from self.parked(request, now)
            return Taken(self.walked_claims(claim.taken), claim.again, walked=True)
        taken: dict[str, Row] = {}
        known: Fronts | None = None
        for number, line in enumerate(request.lines):
            before = len(taken)
            plain = not any(serves(line, queue) for queue in restraints.fair)
            if plain:
                known = yield from self._from(request, line, restraints.queues, now, taken)
                plain = not any(
                    _restrained(row, restraints) for row in list(taken.values())[before:]
                )
            if not plain:
                read = list(taken.values())[before:]
                for row in read:
                    del taken[row[0]]
                self._streams.pop(line, None)
                rows = list(taken.values())
                yield from self.began(rows, request, now)
                claim = MySQLWalk(request, request.wanted - before, restraints)
                claim.waited = waited
                if read and not restraints.fair:
                    yield from self._walked_along(claim, read, now)
                if claim.wanted and not claim.over:
                    yield from self.walked(claim, request.lines[number:], now)
                jobs = (*self.claims(rows), *self.walked_claims(claim.taken))
                return Taken(jobs, claim.again, walked=True)
            if len(taken) == request.wanted:
                break
        rows = list(taken.values())
        yield from self.began(rows, request, now)
        if known is not None:
            self.known[request.lines[0]] = known
        return Taken(self.claims(rows))

    def _walked_along(self, claim: Walk, rows: list[Row], now: int) -> Steps[None]:
        """Walk along the first jobs of a line, which are held: nearly always they are enough."""
        heads = [(0, 0, row[0], row[2], row[1], row[8]) for row in rows]
        stretch = yield from self.stretch(claim, InOrder(heads, whole=True), heads, now)
        if stretch.taken:
            read = Read(rows, whole=True)
            claim.taken += yield from self.taken_up(claim, stretch.taken, read, claim.now)
        claim.fair |= yield from self.restraining(stretch, claim.kinds, claim.now)

    def _from(
        self,
        request: ClaimRequest,
        line: Line,
        paused: frozenset[str],
        now: int,
        taken: dict[str, Row],
    ) -> Steps[Fronts | None]:
        """Hold the first jobs of a line, as many as are wanted still.

        Returns where its queues go on, if the next claim is to know.
        """
        wanted = request.wanted
        stream = self._streams.pop(line, None)
        before = self.known.get(line) if len(request.lines) == 1 else None
        known: Fronts | None = None
        if stream is not None and stream.goes_on(wanted, paused):
            yield from self._front([(stream.after, wanted)], wanted, now, taken)
        elif before is not None and before.hold(paused, now):
            known = before.again()
            yield from self._from_many(known, wanted, now, taken)
        if len(taken) < wanted:
            partly = known is not None
            stream = known = None
            began = time.monotonic()
            fronts = yield from self._fronts(line, paused)
            took = time.monotonic() - began
            # A queue may be on two lines: what the first has is held by us, and found again.
            if len(fronts) > FEW:
                known = Fronts(fronts, paused, now, took)
                yield from self._from_many(known, wanted, now, taken)
            else:
                yield from self._from_line(fronts, wanted, now, taken)
            if len(fronts) == 1:
                stream = Stream(fronts[0], time.monotonic() + STREAMED)
            if partly:
                # What has arrived since may stand before what was known.
                rows = sorted(taken.values(), key=_order)
                taken.clear()
                taken.update((row[0], row) for row in rows)
        if len(taken) == wanted and stream is not None:
            last = next(reversed(taken.values()))
            after = place_of(*_order(last), queue_of(stream.after))
            self._streams[line] = Stream(after, stream.until)
        return known if len(taken) == wanted and len(request.lines) == 1 else None

    def _fronts(self, line: Line, paused: frozenset[str]) -> Steps[list[Place]]:
        """Where the first job of each queue of a line stands, in their common order."""
        rows: list[Row]
        queues = names(line)
        if queues is None:
            rows = yield self.sql["ready_fronts"]()
        else:
            rows = yield self.sql["ready_fronts_of"](queues=self.listed(queues))
        return sorted(served_of(line, paused, [place for (place,) in rows if place is not None]))

    def _from_many(
        self, fronts: Fronts, wanted: int, now: int, taken: dict[str, Row]
    ) -> Steps[None]:
        """Hold the first jobs of so many queues that their fronts are remembered."""
        # What we hold, and what others do, is still there for who looks without holding.
        tried = set(taken)
        most = wanted - len(taken)
        while len(taken) < wanted:
            if most > wanted - len(taken):
                fronts.forget()
            places = yield from self.next_of(fronts, most, tried)
            if not places:
                break
            ids = [id_of(place) for place in places]
            tried.update(ids)
            while ids and len(taken) < wanted:
                # Hardly more than are wanted: others pass over what is held here.
                step = max(wanted - len(taken), HELD)
                some, ids = ids[:step], ids[step:]
                rows: list[Row] = yield self.sql["ready_held"](ids=self.ids(some), now=now)
                for row in in_order(rows, some)[: wanted - len(taken)]:
                    taken[row[0]] = row
            # Others may hold hundreds of the first ones: not a look for each.
            most *= 2

    def _from_line(
        self, fronts: list[Place], wanted: int, now: int, taken: dict[str, Row]
    ) -> Steps[None]:
        """Take the first jobs of several queues in their common order."""
        if not fronts:
            return
        # No more queues than jobs are wanted: those whose first job comes first.
        heads = yield from self._heads(fronts[:wanted], wanted)
        if not heads:  # others have taken them all since we looked
            return
        shares: dict[str, int] = {}
        for head in heads:
            queue = queue_of(head)
            shares[queue] = shares.get(queue, 0) + 1
        first = [(front, shares[queue_of(front)]) for front in fronts if queue_of(front) in shares]
        before = len(taken)
        yield from self._front(first, wanted, now, taken)
        # Others may have taken one queue's share away while more stands behind it elsewhere.
        if len(fronts) > 1 and len(taken) - before < len(heads):
            for front in fronts:
                if len(taken) < wanted:
                    yield from self._front([(front, wanted)], wanted, now, taken)

    def _front(
        self, shares: Sequence[tuple[Place, int]], wanted: int, now: int, taken: dict[str, Row]
    ) -> Steps[None]:
        """Hold the first jobs of each queue, as many as its share, from its first one on."""
        values = [
            (now, queue, place, place, at, at, job_id, share)
            for front, share in shares
            for place, at, job_id, queue in (parts_of(front),)
        ]
        rows: list[Row] = yield self.sql.fronts(values)
        if len(shares) > 1:
            rows = sorted(rows, key=_order)
        for row in rows:
            if len(taken) == wanted:
                break
            taken.setdefault(row[0], row)

    def _heads(self, fronts: list[Place], wanted: int) -> Steps[Sequence[Place]]:
        """Where the first jobs of several queues stand, in their common order."""
        if len(fronts) == 1:
            return fronts * wanted
        return (yield from self.first_of([queue_of(front) for front in fronts], wanted))

    def heads_of(self, queues: Sequence[str], each: int) -> Steps[Mapping[str, Sequence[Place]]]:
        """Where the first few jobs of each of these queues stand, whoever takes them just now."""
        rows: list[Row]
        if each > PAIR or len(queues) < MANY:
            found: dict[str, list[Place]] = {}
            rows = yield self.sql.heads(queues, each)
            for (place,) in rows:
                found.setdefault(queue_of(place), []).append(place)
            return found
        rows = yield self.sql["ready_pairs"](queues=[(queue,) for queue in queues])
        return {
            queue_of(first): [place for place in (first, *more)[:each] if place is not None]
            for first, *more in rows
            if first is not None
        }


def _restrained(row: Row, restraints: Restraints) -> bool:
    """Whether something may hold back a job; ``row`` as the query ``ready_queue`` gives it."""
    rules = row[8]
    return row[1] in restraints.kinds or (rules is not None and bool(limits_of(rules)))


_NONE = Restraints(frozenset(), {}, None, frozenset())
_NUMBERS = json.Decoder(tuple[int, int, int, int, int, int, int, int, int | None, int | None])


def _in_full(row: Row, now: int) -> Row:
    """A row of the query ``ready_queue`` as ``ready_ids`` gives it, of a run that begins now."""
    job_id, kind, queue, payload, numbers, budgets, tags, meta, rules = row
    (
        run, priority, failures, interruptions, max_attempts, scheduled_at, created_at, _, timeout,
        keep_result,
    ) = _NUMBERS.decode(numbers)  # fmt: skip
    return (
        job_id, run, kind, queue, payload, priority, failures, interruptions, max_attempts,
        scheduled_at, created_at, now, timeout, keep_result, budgets, tags, meta, rules,
    )  # fmt: skip


def _order(row: Row) -> tuple[int, int, str]:
    """Priority, time and id of a row as the queries ``ready_...`` give it."""
    numbers = _NUMBERS.decode(row[4])
    return numbers[1], numbers[5], row[0]
