"""How a PostgreSQL store gives out jobs where one statement is not enough.

Whatever there is to do first is done in a transaction, in the order that all stores have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from longshore.core.limits import Setting
from longshore.core.model import Ending, Lease
from longshore.core.store import Claim, ClaimRequest, Exchanged, Line, operation
from longshore.stores.lines import chosen, names, serves
from longshore.stores.postgres.exchange import LEAVE_OUT, TRIES, Exchanging
from longshore.stores.postgres.together import together
from longshore.stores.sql.claim import ROUNDS, STEP, Chosen, Claiming
from longshore.stores.sql.core import Deltas
from longshore.stores.sql.fronts import FEW, Fronts, Place, id_of
from longshore.stores.sql.statements import Row, Steps
from longshore.stores.sql.walk import Restraints, Walk
from longshore.stores.sql.walking import Read, in_order


class Look(NamedTuple):
    """A row of the query ``look``."""

    now: int
    live: bool
    again: bool
    due_at: int | None
    expired: bool
    paused: list[str]  # queues
    there: list[str]  # queues with jobs in the line
    opens_at: int | None
    kinds: list[str]  # paused
    until: list[int | None]  # each of them
    limited: list[str]  # queues with jobs that have limits
    fair: list[str]  # queues with jobs that take turns
    set_names: list[str]  # limits for which something was set
    set_most: list[int]
    set_per: list[int | None]

    @property
    def special(self) -> bool:
        """Whether something restrains some jobs, wherever they are."""
        return bool(self.kinds or self.limited or self.fair)

    @property
    def settings(self) -> Mapping[str, Setting]:
        """What was set for limits."""
        values = zip(self.set_most, self.set_per, strict=True)
        return dict(zip(self.set_names, (Setting(*one) for one in values), strict=True))


class PostgresClaiming(Exchanging, Claiming):
    """The steps of a claim."""

    _tight = 0

    @operation(writes=True)
    def claim(self, request: ClaimRequest) -> Steps[Claim]:
        """Promote what is due, then take jobs."""
        exchanged = yield from self.at_once((), request)
        if exchanged is not None:
            return exchanged.claim
        return (yield from self.claimed(request, 0, {}))

    @operation(writes=True)
    def exchange(self, endings: Sequence[Ending], request: ClaimRequest) -> Steps[Exchanged]:
        """Finish, then claim, in one commit."""
        exchanged = yield from self.at_once(endings, request)
        if exchanged is not None:
            return exchanged
        held: frozenset[Lease] = frozenset()
        if endings:
            held = yield from self.reported(endings)
        claim = yield from self.claimed(request, 0, {})
        return Exchanged(held, claim)

    def claimed(
        self,
        request: ClaimRequest,
        now: int,  # noqa: ARG002 - the look tells
        deltas: Deltas,
    ) -> Steps[Claim]:
        """Promote what is due, then take jobs, in a transaction that is open or begins here."""
        known = self._known_of(request)
        look = yield from self._look(request, any_=known is None)
        if known is not None and look.special:
            known = None
            look = yield from self._look(request)
        if not look.live:
            return Claim(live=False)
        if look.again:
            rows: list[Row] = yield self.sql["claimed_again"](
                process_id=request.process_id, claim_id=request.claim_id
            )
            return Claim(live=True, jobs=self.claims(rows))
        ready = yield from self._made_ready(request, look, deltas)
        if ready is None:
            # So many have expired that the others would have to be searched for: come again.
            return Claim(live=True, due_in=0)
        look, had = ready
        if request.wanted <= 0:
            return Claim(live=True)
        taken = yield from self._taken(request, look, had, known)
        due_in = None
        if len(taken.rows) < request.wanted:
            due_in = yield from self._due_in(taken, look)
        return Claim(live=True, jobs=self.claims(taken.rows), due_in=due_in)

    def _made_ready(
        self, request: ClaimRequest, look: Look, deltas: Deltas
    ) -> Steps[tuple[Look, Mapping[str, int]] | None]:
        """Do what is due by now, and look again if there was something; none if much is left.

        With the look, the keys that the claim has from then on, and since when.
        """
        had: Mapping[str, int] = {}
        now = look.now
        due = look.due_at is not None and look.due_at <= now
        if due:
            yield from self.promoted(STEP, now)
        if look.expired:
            for _ in range(ROUNDS):
                if (yield from self.expired(STEP, now, deltas)) < STEP:
                    break
            else:
                return None
        opens = look.opens_at is not None and look.opens_at <= now
        if opens:
            had = yield from self.opened(now)
        if due or look.expired or opens:
            look = yield from self._look(request)
        return look, had

    def walked(
        self, claim: Walk, lines: Sequence[Line], now: int, read: Read | None = None
    ) -> Steps[None]:
        """Take jobs line by line."""
        yield from super().walked(claim, lines, now, read)
        if claim.wanted and not (claim.over or claim.again):
            # What another claim looks at just now, and need not take, was not seen.
            rows: list[Row] = yield self.sql["ready_queues"]()
            claim.again = any(
                queue not in claim.paused and any(serves(line, queue) for line in lines)
                for (queue,) in rows
            )

    def keys_held(self, claim: Walk, keys: Sequence[str]) -> Steps[frozenset[str]]:
        """Lock keys; the time that the claim goes by is when it had them."""
        mine, at = yield from self.keys_locked(keys)
        claim.now = self.given_now() or at
        return mine

    def taken_up(
        self,
        claim: Walk,
        ids: Sequence[str],
        read: Read | None,  # noqa: ARG002 - nothing is read beforehand
        now: int,
    ) -> Steps[list[Row]]:
        """Begin runs of what a walk has chosen, and read it, in one statement."""
        rows: list[Row] = yield self.sql["take_ids"](
            ids=list(ids),
            wanted=len(ids),
            chosen=True,
            process_id=claim.request.process_id,
            claim_id=claim.request.claim_id,
            now=now,
        )
        return in_order(rows, ids)

    def _look(self, request: ClaimRequest, *, any_: bool = True) -> Steps[Look]:
        """What a claim has to know; ``any_``: with all queues, if one of its lines serves any."""
        rows: list[Row] = yield self.sql["look"](
            process_id=request.process_id,
            claim_id=request.claim_id,
            now=self.given_now(),
            any=any_ and any(names(line) is None for line in request.lines),
        )
        return Look(*rows[0])

    def _known_of(self, request: ClaimRequest) -> Fronts | None:
        """Where the queues of a request's only line went on when the last claim ended."""
        if len(request.lines) != 1 or request.parked_kinds:
            return None
        known = self.known.get(request.lines[0])
        return None if known is None else known.again()

    def _due_in(self, taken: Chosen, look: Look) -> Steps[int | None]:
        if taken.again:
            return 0
        if taken.walked:
            if not taken.over:
                self.in_vain = 0  # nothing is left that has to be looked at
            return (yield from self.due_in(look.now, opens=True))
        times = [at for at in (look.due_at, look.opens_at) if at is not None]
        return max(0, min(times) - look.now) if times else None

    def _taken(
        self, request: ClaimRequest, look: Look, had: Mapping[str, int], known: Fronts | None
    ) -> Steps[Chosen]:
        """Begin runs of the first jobs, line by line; their rows in order.

        ``known``: where the queues of the only line stood. It may be long ago: what it tells in
        any case is that they are too many to be looked at twice.
        """
        if request.parked_kinds:
            walk = yield from self.parked(request, look.now)
            return Chosen(walk.taken, walk.again, walked=True, over=walk.over)
        claim = {"process_id": request.process_id, "claim_id": request.claim_id, "now": look.now}
        special = {*look.limited, *look.fair}
        taken: list[Row] = []
        for number, line in enumerate(request.lines):
            queues = names(line)
            served = chosen(line, {*look.there, *look.fair}) if queues is None else queues
            served = [queue for queue in served if queue not in look.paused]
            if not look.special and (known is not None or (queues is None and len(served) > FEW)):
                wanted = request.wanted - len(taken)
                taken += yield from self._of_many(line, look, known, wanted, claim)
                if len(taken) == request.wanted:
                    break
                continue
            if look.kinds or not special.isdisjoint(served):
                walk = Walk(request, request.wanted - len(taken), _restraints(look, had))
                walk.taken = taken
                if len(served) == 1 and not (look.kinds or look.fair):
                    yield from self._together(walk, served[0], look)
                    if walk.over or not walk.wanted:
                        return Chosen(walk.taken, over=walk.over)
                yield from self.walked(walk, request.lines[number:], look.now)
                return Chosen(walk.taken, walk.again, walked=True, over=walk.over)
            taken += yield from self._of_queues(served, request.wanted - len(taken), claim, set())
            if len(taken) == request.wanted:
                break
        return Chosen(taken)

    def _together(self, walk: Walk, queue: str, look: Look) -> Steps[None]:
        """Begin runs of the first jobs of a queue, if the limits of all of them have room."""
        if self._tight >= TRIES:
            self._tight += 1
            if self._tight < TRIES + LEAVE_OUT:
                return
            self._tight = TRIES - 1
        rows: list[Row] = yield self.sql["ready_queue"](
            queue=queue, now=look.now, limit=walk.wanted
        )
        first = together(rows, walk.free)
        if first is None or not first.rows:
            self._tight += 1
            return
        since = walk.since(first.limits)
        walk.now = look.now if since is None else since
        if first.limits and since is None:
            mine = yield from self.keys_held(walk, list(first.limits))
            if not mine.issuperset(first.limits):
                return
        fits: list[Row] = yield self.sql["take_together"](
            **first.params(look.settings),
            process_id=walk.request.process_id,
            claim_id=walk.request.claim_id,
            now=walk.now,
        )
        if not fits[0][0]:
            self._tight += 1
            return
        self._tight = 0
        walk.taken += [(*row[:11], walk.now, *row[12:]) for row in first.rows]
        walk.wanted -= len(first.rows)
        walk.free -= first.rated
        walk.over = bool(first.behind)

    def _of_queues(
        self, queues: Sequence[str], wanted: int, claim: dict[str, Any], tried: set[str]
    ) -> Steps[list[Row]]:
        """Begin runs of the first jobs of these queues but for those that were ``tried``."""
        rows: list[Row]
        if not queues:
            return []
        if len(queues) == 1:
            rows = yield self.sql["take_queue"](queue=queues[0], wanted=wanted, **claim)
            return rows
        taken: list[Row] = []
        most = wanted
        while len(taken) < wanted:
            places = yield from self.first_of(queues, most, tried)
            if not places:
                break
            taken += yield from self._of_places(places, wanted - len(taken), claim, tried)
            if len(places) < most:
                break
            most *= 2
        return taken

    def _of_many(
        self, line: Line, look: Look, known: Fronts | None, wanted: int, claim: dict[str, Any]
    ) -> Steps[list[Row]]:
        """Begin runs of the first jobs of a line of so many queues that their fronts are known."""
        taken: list[Row] = []
        tried: set[str] = set()
        most = wanted
        paused = frozenset(look.paused)
        if known is not None and not known.hold(paused, look.now):
            known = None
        while len(taken) < wanted:
            if known is None:
                looked = yield from self.looked_at(line, paused, look.now)
                if not isinstance(looked, Fronts):
                    self.known.pop(line, None)
                    taken += yield from self._of_queues(looked, wanted - len(taken), claim, tried)
                    break
                known = looked
            if most > wanted - len(taken) or (tried and not known.old):
                known.forget()  # it leaves out jobs that are still there
            places = yield from self.next_of(known, most, tried)
            if places:
                taken += yield from self._of_places(places, wanted - len(taken), claim, tried)
                # Others may hold hundreds of the first ones: not one step for each.
                most *= 2
            elif known.old:
                known = None  # what has arrived since that look is not known
                most = wanted - len(taken)
            else:
                break
        if known is not None and len(taken) == wanted:
            self.known[line] = known
        return sorted(taken, key=_order)

    def _of_places(
        self, places: Sequence[Place], wanted: int, claim: dict[str, Any], tried: set[str]
    ) -> Steps[list[Row]]:
        """Begin runs of the first of these jobs; those that others have locked are left to them.

        They stay where they are until the others commit, so they are not tried again.
        """
        ids = [id_of(place) for place in places]
        rows: list[Row] = yield self.sql["take_ids"](ids=ids, wanted=wanted, chosen=False, **claim)
        tried.update(ids)
        return rows


def _order(row: Row) -> tuple[int, int, str]:
    """Priority, time and id of a row of the queries that take jobs."""
    return row[5], row[9], row[0]


def _restraints(look: Look, had: Mapping[str, int]) -> Restraints:
    kinds = dict(zip(look.kinds, look.until, strict=True))
    return Restraints(frozenset(look.paused), kinds, look.opens_at, frozenset(look.fair), had)
