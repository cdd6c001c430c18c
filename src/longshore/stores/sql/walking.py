"""A claim that walks: where limits, rates, paused kinds or turns decide who runs.

It reads some rows, locks and counts their keys, decides (:mod:`longshore.stores.sql.walk`), writes
what it decided, and reads again where the rows did not reach or others were admitted. Each time all
that it has done is written, so that the next look sees the store as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from longshore.core.limits import BLOCKED, Limit
from longshore.core.store import ClaimRequest, Line
from longshore.stores.lines import chosen, names, serves
from longshore.stores.sql.leaving import Leaving
from longshore.stores.sql.statements import Row, Steps
from longshore.stores.sql.turns import CLOCK, Heads, InOrder, InTurns, Level, Merged, Upcoming
from longshore.stores.sql.walk import Column, Restraints, Stretch, Walk, limits_of, rules_of, walk


class Read(NamedTuple):
    """The next jobs of one queue, in full, as the query ``ready_queue`` gives them."""

    rows: Sequence[Row]
    whole: bool  # nothing follows them


class Turning(NamedTuple):
    """What has been read of a queue that goes by turns."""

    level: Level
    values: Mapping[str, list[Row]]
    each: int


class Walking(Leaving):
    """The steps of a claim that walks."""

    def keys_held(self, claim: Walk, keys: Sequence[str]) -> Steps[frozenset[str] | None]:  # noqa: ARG002
        """As ``locked``, by a claim; it may say what it has locked already, and when it had all."""
        return (yield from self.locked(keys))

    def turns_held(self, claim: Walk, queues: Sequence[str]) -> Steps[frozenset[str] | None]:  # noqa: ARG002
        """As ``turns_locked``, by a claim."""
        return (yield from self.turns_locked(queues))

    def served(self, line: Line, restraints: Restraints) -> Steps[list[str]]:
        """The queues of a line that may hold jobs."""
        queues: Sequence[str] | None = names(line)
        if queues is None:
            rows: list[Row] = yield self.sql["ready_queues"]()
            there = dict.fromkeys([*(name for (name,) in rows), *restraints.fair])
            queues = chosen(line, there)
        return [queue for queue in queues if queue not in restraints.queues]

    def began(self, rows: Sequence[Row], request: ClaimRequest, now: int) -> Steps[None]:
        """Write that runs of these jobs begin; rows as the queries ``ready_...`` give them."""
        if not rows:
            return
        yield from self.taken([row[0] for row in rows], request, now)
        if unruled(rows):
            return
        started = {column for column in {row[-1] for row in rows} if _given_up(column)}
        if started:
            yield from self.unheld([row[0] for row in rows if row[-1] in started], gone=False)

    def taken(self, ids: Sequence[str], request: ClaimRequest, now: int) -> Steps[None]:
        """Put these jobs under the lease of the process that claims."""
        yield self.sql["take"](
            process_id=request.process_id, claim_id=request.claim_id, now=now, ids=self.ids(ids)
        )

    def walked(
        self, claim: Walk, lines: Sequence[Line], now: int, read: Read | None = None
    ) -> Steps[None]:
        """Take jobs line by line; ``read``: those of the first line, if that has one queue."""
        restraints = Restraints(claim.paused, claim.kinds, None, claim.fair)
        served: dict[int, list[str]] = {}
        for number, line in enumerate(lines):
            served[number] = yield from self.served(line, restraints)
        # Before any job: the order in which everybody locks.
        yield from self._turns(claim, [queue for queues in served.values() for queue in queues])
        for number, line in enumerate(lines):
            yield from self._line_walked(claim, line, served[number], now, read)
            read = None
            if claim.over or not claim.wanted:
                break

    def parked(self, request: ClaimRequest, now: int) -> Steps[Walk]:
        """Take parked jobs; those that are held back stay as they are, unmarked."""
        limit = request.wanted
        while True:
            rows: list[Row] = yield self.sql["ready_parked"](
                kinds=self.listed(request.parked_kinds),
                kinds_digest=request.kinds_digest,
                now=now,
                limit=limit,
            )
            whole = len(rows) < limit
            claim = Walk(request, request.wanted, _OPEN)
            if unruled(rows):
                claim.taken = rows[: request.wanted]
                yield from self.began(claim.taken, request, now)
                return claim
            heads = candidates(rows)
            stretch = yield from self.stretch(
                claim, InOrder(heads, whole=whole), heads, now, marking=False
            )
            if not (stretch.short and claim.wanted) or claim.over:
                claim.taken = in_order(rows, stretch.taken)
                yield from self.began(claim.taken, request, claim.now)
                yield from self.restraining(stretch, {}, claim.now)
                return claim
            limit *= 4

    def heads(self, claim: Walk, queues: Sequence[str], each: int) -> Steps[dict[str, Heads]]:
        """The first jobs of each of these queues, so many of each or a few of each value."""
        turning: Mapping[str, Turning | None] = {}
        fair = [queue for queue in queues if queue in claim.fair]
        if fair:
            turning = yield from self._turning(claim, fair, each)
            queues = [queue for queue in queues if turning.get(queue, 0) is not None]
        rows: list[Row] = yield self.sql["ready_heads"](queues=self.listed(queues), each=each)
        by_queue: dict[str, list[Row]] = {queue: [] for queue in queues}
        for row in sorted(rows, key=_place):
            by_queue[row[3]].append(row)
        found: dict[str, Heads] = {}
        for queue, line in by_queue.items():
            turns = turning.get(queue)
            whole = len(line) < each
            if turns is None:
                found[queue] = InOrder(line, whole=whole)
            else:
                found[queue] = InTurns(
                    turns.level, line, turns.values, line_whole=whole, each=turns.each
                )
        return found

    def stretch(
        self, claim: Walk, heads: Upcoming, rows: Iterable[Row], now: int, *, marking: bool = True
    ) -> Steps[Stretch]:
        """Lock and count the keys of these rows, and decide; then it is ``claim.now``."""
        limits: dict[str, Limit] = {}
        asked: set[str] = set()
        # Those with the same rules are one look.
        for column in dict.fromkeys([row[5] for row in rows]):
            of_rules = limits_of(column)
            limits.update(of_rules)
            if len(of_rules) > 1:
                asked.update(of_rules)
        if claim.kinds:
            asked.update(*(limits_of(row[5]) for row in rows if row[4] in claim.kinds))
        asked.update([key for key, limit in limits.items() if limit.per is not None])
        since = claim.since(limits)
        claim.now = now if since is None else since
        held: frozenset[str] | None = None
        if limits and since is None:
            held = yield from self.keys_held(claim, sorted(limits))
        tally = yield from self.tallied(limits, claim.now, claim.kinds)
        keys = {key for key, waits in tally.waits.items() if waits and key in asked}
        asked.difference_update(tally.waits)
        if asked:
            waiting: list[Row] = yield self.sql["blocked_queues"](keys=self.listed(sorted(asked)))
            keys.update(key for key, _ in waiting)
        return walk(heads, tally, claim, held=held, waiting=keys, marking=marking)

    def taken_up(
        self, claim: Walk, ids: Sequence[str], read: Read | None, now: int
    ) -> Steps[list[Row]]:
        """Begin runs of what a walk has chosen; the rows as the query ``ready_ids`` gives them."""
        rows: Sequence[Row]
        if read is None:
            rows = yield self.sql["ready_ids"](ids=self.ids(ids), now=now)
        else:
            rows = read.rows
        taken = in_order(rows, ids)
        yield from self.began(taken, claim.request, now)
        return taken

    def turned(self, levels: Iterable[Level]) -> Steps[None]:
        """Write where turns have ended."""
        moved = [level for level in levels if level.moved]
        if not moved:
            return
        ends: list[Row] = []
        for level in moved:
            ends.append((*level.place, CLOCK, level.clock))
            ends += [
                (*level.place, value, level.ends[value])
                for value in sorted(level.moved)
                if level.ends[value] > level.clock
            ]
        yield self.sql["turn_set"].many(ends)
        yield self.sql["turns_forget"].many([(*level.place, level.clock) for level in moved])

    # --- helpers ---

    def _line_walked(
        self, claim: Walk, line: Line, queues: list[str], now: int, read: Read | None
    ) -> Steps[None]:
        each = claim.wanted if len(queues) == 1 else max(4, 2 * claim.wanted // max(1, len(queues)))
        queues = _with_more(queues, line, claim)
        while queues and claim.wanted and not claim.over:
            before = (claim.wanted, claim.blocked, len(claim.passed))
            heads: Sequence[Heads]
            if read is None:
                by_queue = yield from self.heads(claim, queues, each)
                queues, heads = list(by_queue), list(by_queue.values())
            else:
                heads = [InOrder(candidates(read.rows), whole=read.whole)]
            rows = [row for one in heads for row in one.rows()]
            upcoming = heads[0] if len(heads) == 1 else Merged(heads)
            stretch = yield from self.stretch(claim, upcoming, rows, now)
            now = claim.now
            if stretch.taken:
                claim.taken += yield from self.taken_up(claim, stretch.taken, read, now)
            admitted = yield from self.restraining(stretch, claim.kinds, now)
            yield from self.turned([one.level for one in heads if isinstance(one, InTurns)])
            read = None
            if admitted:
                # They may be in queues that had nothing, or in which nobody took turns.
                claim.fair |= admitted
                queues = _with_more(queues, line, claim)
            elif not stretch.short:
                break
            if stretch.short:
                most = BLOCKED + len(claim.passed)
                if before == (claim.wanted, claim.blocked, len(claim.passed)) and each >= most:
                    claim.again = True  # all that can be read is being claimed by others
                    break
                each = max(each, min(4 * each, most))

    def _turns(self, claim: Walk, queues: Iterable[str]) -> Steps[None]:
        """Lock the turns of those queues that have some, once in a claim."""
        fair = sorted(claim.fair.intersection(queues).difference(claim.turns))
        if fair:
            held = yield from self.turns_held(claim, fair)
            claim.turns.update((queue, held is None or queue in held) for queue in fair)
            claim.again = claim.again or not all(claim.turns.values())

    def _turning(
        self, claim: Walk, queues: Sequence[str], each: int
    ) -> Steps[Mapping[str, Turning | None]]:
        """What goes by turns in these queues; ``None`` for one that cannot be served now."""
        yield from self._turns(claim, queues)
        found: dict[str, Turning | None] = {}
        found.update((queue, None) for queue in queues if not claim.turns[queue])
        queues = [queue for queue in queues if claim.turns[queue]]
        values: list[Row] = yield self.sql["fair_values"](queues=self.listed(queues))
        if not values:
            return found
        # Where there are many values each has few turns.
        each = max(claim.wanted, each) // len(values) + 2
        rows: list[Row] = yield self.sql["fair_heads"](values=self.listed(values), each=each)
        by_queue: dict[str, dict[str, list[Row]]] = {}
        for row in sorted(rows, key=_place):
            by_queue.setdefault(row[3], {}).setdefault(row[6], []).append(row)
        places = dict.fromkeys((queue, priority) for queue, priority, _ in values)
        ends: list[Row] = yield self.sql["turns"](levels=self.listed(list(places)))
        turns: dict[tuple[str, int], dict[str, int]] = {place: {} for place in places}
        for queue, priority, value, end in ends:
            turns[queue, priority][value] = end
        for place in places:
            if place[0] in by_queue:
                level = Level(place, turns[place])
                found[place[0]] = Turning(level, by_queue[place[0]], each)
        return found


_OPEN = Restraints(frozenset(), {}, None, frozenset())


def _with_more(queues: Sequence[str], line: Line, claim: Walk) -> list[str]:
    """Queues, and those of the line in which jobs were admitted meanwhile."""
    more = [q for q in sorted(claim.fair) if serves(line, q) and q not in claim.paused]
    return list(dict.fromkeys([*queues, *more]))


def unruled(rows: Sequence[Row]) -> bool:
    """Whether none of these has rules; rows as the queries ``ready_...`` give them."""
    return [row[-1] for row in rows].count(None) == len(rows)


def candidates(rows: Iterable[Row]) -> list[Row]:
    """Rows of the queries ``ready_queue`` and ``ready_parked`` as a walk takes them."""
    return [(row[5], row[9], row[0], row[3], row[2], row[17]) for row in rows]


def in_order(rows: Iterable[Row], ids: Sequence[str]) -> list[Row]:
    """Of rows that begin with their ids those that were asked for, as they were."""
    rows = list(rows)
    first = rows[: len(ids)]
    if [row[0] for row in first] == ids:
        return first
    by_id = {row[0]: row for row in rows}
    return [by_id[job_id] for job_id in ids if job_id in by_id]


def _given_up(column: Column) -> bool:
    """Whether a job gives its unique key up when it starts, from the column of its rules."""
    rules = rules_of(column)
    return rules is not None and rules.hold is not None and rules.hold.until_started


def _place(row: Row) -> Row:
    return row[:3]
