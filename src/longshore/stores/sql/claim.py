"""How a SQL store gives out jobs: what is due first, then line by line in their order.

Nearly always nothing restrains the jobs that are next: they are read and taken. Where one of them
has limits, its kind is paused or its queue goes by turns, the claim walks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import json

from longshore.core.model import Claimed
from longshore.core.store import Claim, ClaimRequest, Line
from longshore.stores.lines import names
from longshore.stores.sql.core import Deltas
from longshore.stores.sql.fronts import Fronts, Merging, Place, id_of
from longshore.stores.sql.statements import Row, Steps
from longshore.stores.sql.walk import Restraints, Walk, limits_of
from longshore.stores.sql.walking import Read, Walking, in_order, unruled

#: How many due and how many expired jobs a claim moves along the way, and how often the latter.
STEP = 500
ROUNDS = 4

TAGS = json.Decoder(tuple[str, ...])


class Chosen(NamedTuple):
    """What a claim takes; the rows as the queries ``ready_...`` give them, in order."""

    rows: list[Row]
    again: bool = False  # there was more to do than one claim may
    walked: bool = False
    over: bool = False  # it ended before a job that has to be looked at


class Claiming(Merging, Walking):
    """The steps of a claim."""

    def claimed(self, request: ClaimRequest, now: int, deltas: Deltas) -> Steps[Claim]:
        """Promote what is due, then take jobs; the caller writes the counts."""
        live: list[Row] = yield self.sql["process_live"](
            id=request.process_id, **self.lease_time(now)
        )
        if not live:
            return Claim(live=False)
        rows: list[Row] = yield self.sql["claimed_again"](
            process_id=request.process_id, claim_id=request.claim_id
        )
        if rows:
            return Claim(live=True, jobs=self.claims(rows))
        yield from self.promoted(STEP, now)
        for _ in range(ROUNDS):
            if (yield from self.expired(STEP, now, deltas)) < STEP:
                break
        else:
            # So many have expired that the others would have to be searched for: come again.
            return Claim(live=True, due_in=0)
        if request.wanted <= 0:
            return Claim(live=True)
        restraints = yield from self.unrestrained(now)
        taken = yield from self.chosen(request, restraints, now)
        due_in = None
        if len(taken.rows) < request.wanted:
            opens = restraints.opens is not None or taken.walked
            due_in = 0 if taken.again else (yield from self.due_in(now, opens=opens))
        return Claim(live=True, jobs=self.claims(taken.rows), due_in=due_in)

    def unrestrained(self, now: int) -> Steps[Restraints]:
        """What restrains a claim, once all is admitted whose time has come."""
        restraints = yield from self.restrained(now)
        if restraints.opens is not None and restraints.opens <= now:
            had = yield from self.opened(now)
            restraints = (yield from self.restrained(now))._replace(had=had)
        return restraints

    def due_in(self, now: int, *, opens: bool) -> Steps[int | None]:
        """In how many microseconds the next job falls due or, if asked, the next key opens."""
        rows: list[Row] = yield self.sql["next_due"]()
        times: list[int] = [at for (at,) in rows]
        if opens:
            rows = yield self.sql["next_open"]()
            times += [at for (at,) in rows]
        return max(0, min(times) - now) if times else None

    def promoted(self, limit: int, now: int) -> Steps[int]:
        """Make due jobs available."""
        rows: list[Row] = yield self.sql["due"](now=now, limit=limit)
        if rows:
            yield self.sql["promote"](ids=self.ids([row[0] for row in rows]))
        return len(rows)

    def expired(self, limit: int, now: int, deltas: Deltas) -> Steps[int]:
        """Cancel jobs that may not start any more."""
        rows: list[Row] = yield self.sql["expired"](now=now, limit=limit)
        yield from self.cancelled(rows, "expired", now, deltas)
        return len(rows)

    def chosen(self, request: ClaimRequest, restraints: Restraints, now: int) -> Steps[Chosen]:
        """Take the jobs of a claim, in order."""
        if request.parked_kinds:
            claim = yield from self.parked(request, now)
            return Chosen(claim.taken, claim.again, walked=True, over=claim.over)
        taken: list[Row] = []
        remembers = len(request.lines) == 1
        queues: list[str] | Fronts = []
        for number, line in enumerate(request.lines):
            queues = yield from self.line_of(line, restraints, now, remembers=remembers)
            wanted = request.wanted - len(taken)
            rows: list[Row] = []
            read: Read | None = None
            plain = isinstance(queues, Fronts) or restraints.fair.isdisjoint(queues)
            if plain:
                rows = yield from self._first(queues, request.wanted, now)
                if len(rows) < wanted and _is_old(queues):
                    # What has arrived since the look is not known: look again, at all of it.
                    queues = yield from self.line_of(line, restraints, now)
                    rows = yield from self._first(queues, request.wanted, now)
                whole = len(rows) < request.wanted
                if taken:
                    # A queue may be on two lines: what the first has is not there for the second.
                    mine = {row[0] for row in taken}
                    rows = [row for row in rows if row[0] not in mine]
                if isinstance(queues, list) and len(queues) == 1:
                    read = Read(rows, whole)
                plain = unruled(rows) and not restraints.kinds
                plain = plain or not any(restrained(row, restraints) for row in rows)
            if not plain:
                yield from self.began(taken, request, now)
                claim = Walk(request, wanted, restraints)
                claim.taken = taken
                yield from self.walked(claim, request.lines[number:], now, read)
                return Chosen(claim.taken, claim.again, walked=True, over=claim.over)
            taken += rows[:wanted]
            if len(taken) == request.wanted:
                break
        yield from self.began(taken, request, now)
        if remembers and isinstance(queues, Fronts):
            self.known[request.lines[0]] = queues
        return Chosen(taken)

    def _first(self, queues: list[str] | Fronts, wanted: int, now: int) -> Steps[list[Row]]:
        """The first jobs of some queues in their common order."""
        rows: list[Row]
        match queues:
            case []:
                return []
            case [queue]:
                rows = yield self.sql["ready_queue"](queue=queue, now=now, limit=wanted)
                return rows
            case Fronts():
                places = yield from self.next_of(queues, wanted)
            case _:
                places = yield from self.first_of(queues, wanted)
        ids = [id_of(place) for place in places]
        rows = yield self.sql["ready_ids"](ids=self.ids(ids), now=now)
        return in_order(rows, ids)

    def line_of(
        self, line: Line, restraints: Restraints, now: int, *, remembers: bool = False
    ) -> Steps[list[str] | Fronts]:
        """The queues of a line that may hold jobs; of many, where the first ones stand.

        ``remembers``: as the last claim has left it, if that was a moment ago.
        """
        if names(line) is not None or restraints.fair:
            return (yield from self.served(line, restraints))
        known = self.known.get(line) if remembers else None
        if known is not None and known.hold(restraints.queues, now):
            return known.again()
        return (yield from self.looked_at(line, restraints.queues, now))

    def heads_of(self, queues: Sequence[str], each: int) -> Steps[Mapping[str, Sequence[Place]]]:
        """Where the first few jobs of each of these queues stand."""
        rows: list[Row] = yield self.sql["line_heads"](queues=self.listed(queues), each=each)
        return {queue: places.split(",") for queue, places in rows if places}

    def fronts(self) -> Steps[list[Place]]:
        """The first job of each queue."""
        rows: list[Row] = yield self.sql["ready_fronts"]()
        ((places,),) = rows
        return places.split(",") if places else []

    def claims(self, rows: list[Row]) -> tuple[Claimed, ...]:
        """Rows of the queries ``ready_...`` and ``claimed_again``: a record's fields in order."""
        records: list[Claimed] = []
        for row in rows:
            # Unpacked by name: half the price of cutting the tuple to put the tags in.
            (
                job_id, run, kind, queue, payload, priority, failures, interruptions, max_attempts,
                scheduled_at, created_at, claimed_at, timeout, keep_result, budgets, tags, meta, _,
            ) = row  # fmt: skip
            records.append(
                Claimed(
                    job_id, run, kind, queue, payload, priority, failures, interruptions,
                    max_attempts, scheduled_at, created_at, claimed_at, timeout, keep_result,
                    budgets, () if tags is None else TAGS.decode(tags), meta,
                )
            )  # fmt: skip
        return tuple(records)


def _is_old(queues: list[str] | Fronts) -> bool:
    return isinstance(queues, Fronts) and queues.old


def restrained(row: Row, restraints: Restraints) -> bool:
    """Whether something may hold back a job; ``row`` as the queries ``ready_...`` give it."""
    if row[2] in restraints.kinds:
        return True
    return bool(limits_of(row[17]))
