"""What a claim or a report does more cheaply in a SQLite file than in other SQL stores.

Nobody is asked over a wire and nobody else writes meanwhile: what counts is how many rows are read,
and a second look is cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from msgspec import json

from longshore.core.store import ClaimRequest, Line
from longshore.core.turns import Head
from longshore.stores.sql.operations import Consuming
from longshore.stores.sql.statements import Row, Steps
from longshore.stores.sql.turns import Level
from longshore.stores.sql.walk import READ, Column, Walk, is_tied, rules_of
from longshore.stores.sql.walking import Read, in_order

#: Rates of so many different periods are still worth a statement each.
PERIODS: Final = 4
#: So many claims do not try again what a claim could not do.
REST: Final = 32
#: So many jobs are worth a look whether they are a span.
SPAN: Final = 32

_HEADS = json.Decoder(list[Head])


class SQLiteConsuming(Consuming):
    """Steps of claims and reports that are SQLite's own."""

    _rest = 0  # how many claims do not take turns alike
    _mixed = 0  # how many lists of jobs are not looked up to be a span

    def taken(self, ids: Sequence[str], request: ClaimRequest, now: int) -> Steps[None]:
        """By one walk along the table where nothing else lies between these jobs."""
        if not (span := (yield from self._span(ids))):
            yield from super().taken(ids, request, now)
            return
        first, last = span
        yield self.sql["take_span"](
            process_id=request.process_id,
            claim_id=request.claim_id,
            now=now,
            first=first,
            last=last,
        )

    def taken_out(self, ids: Sequence[str]) -> Steps[None]:
        """The same, of jobs that leave."""
        if not (span := (yield from self._span(ids))):
            yield from super().taken_out(ids)
            return
        first, last = span
        yield self.sql["remove_span"](first=first, last=last)

    def _span(self, ids: Sequence[str]) -> Steps[tuple[str, str] | None]:
        """The first and the last of these jobs, if there are just these from one to the other.

        Ids begin with the time, so jobs that came together lie together. To write them as a span
        saves to seek each of them twice, which is a third of the price.
        """
        if len(ids) < SPAN:
            return None
        if self._mixed:
            self._mixed -= 1
            return None
        ordered = sorted(ids)
        first, last = ordered[0], ordered[-1]
        rows: list[Row] = yield self.sql["span"](first=first, last=last, most=len(ids) + 1)
        if json.decode(rows[0][0]) == ordered:
            return first, last
        self._mixed = REST
        return None

    def started(self, since: Sequence[tuple[str, int]]) -> Steps[list[Row]]:
        """How often jobs under these keys have started since then: nearly always the same time."""
        by_time: dict[int, list[str]] = {}
        for key, at in since:
            by_time.setdefault(at, []).append(key)
        if len(by_time) > PERIODS:
            return (yield from super().started(since))
        rows: list[Row] = []
        for at, keys in by_time.items():
            rows += yield self.sql["starts_since"](keys=self.listed(keys), since=at)
        return rows

    def tied(
        self, groups: Sequence[Row], ids: Sequence[str]
    ) -> Steps[Sequence[tuple[str, Column]]]:
        """Those of these jobs whose end others may wait for: looked up only if there are some."""
        texts = {text for row in groups if row[4] for text in row[4].split("\n")}
        if not any(is_tied(text) for text in texts):
            return []
        return (yield from super().tied(groups, ids))

    def _line_walked(
        self, claim: Walk, line: Line, queues: list[str], now: int, read: Read | None
    ) -> Steps[None]:
        """Walk along one line; where only turns decide, without a look at each job."""
        if read is None and len(queues) == 1 and claim.fair.issuperset(queues) and not claim.kinds:
            if self._rest:
                self._rest -= 1
            else:
                yield from self._turns_taken(claim, queues[0], now)
        if claim.wanted:
            yield from super()._line_walked(claim, line, queues, now, read)

    def _turns_taken(self, claim: Walk, queue: str, now: int) -> Steps[None]:
        """Take the next jobs of a queue if all of one value have the same turns and no limits.

        Jobs of a value are nearly always alike. So they are chosen by what the first one of each
        says, and read then: if one is different, nothing has happened.
        """
        values: list[Row] = yield self.sql["fair_values"](queues=self.listed([queue]))
        if not values:
            return
        others: list[Row] = yield self.sql["ready_heads"](queues=self.listed([queue]), each=1)
        priority = values[0][1]
        if others and others[0][0] <= priority:
            return  # jobs without a value are among those with one, or before them
        each = claim.wanted // len(values) + 2
        rows: list[Row] = yield self.sql["fair_line"](values=self.listed(values), each=each)
        firsts = {value: turn_of(column) for value, _, column in rows}
        steps = {value: turn[1] for value, turn in firsts.items() if turn is not None}
        if len(steps) < len(firsts):
            self._rest = REST
            return
        ends: list[Row] = yield self.sql["turns"](levels=self.listed([(queue, priority)]))
        level = Level((queue, priority), {value: end for _, _, value, end in ends})
        heads = {value: sorted(_HEADS.decode(jobs)) for value, jobs, _ in rows}
        ids = level.take(heads, steps, claim.wanted, each)
        jobs: list[Row] = yield self.sql["ready_ids"](ids=self.ids(ids), now=now)
        if not set(firsts.values()).issuperset(map(turn_of, {row[17] for row in jobs})):
            self._rest = REST
            return
        taken = in_order(jobs, ids)
        yield from self.began(taken, claim.request, now)
        yield from self.turned([level])
        claim.wanted -= len(taken)
        claim.taken += taken


@lru_cache(READ)
def turn_of(column: Column) -> tuple[str, int] | None:
    """Whose turn a job takes and how far that goes, by its rules; none where it has limits."""
    rules = rules_of(column)
    if rules is None or rules.fair is None or rules.limits:
        return None
    return rules.fair.key, rules.fair.step
