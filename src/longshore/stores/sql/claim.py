"""How a SQL store gives out jobs: what is due first, then line by line in their order."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import json

from longshore.core.model import Claimed
from longshore.core.store import Claim, ClaimRequest, Line
from longshore.stores.lines import chosen, names
from longshore.stores.sql.core import Core, Deltas
from longshore.stores.sql.statements import Row, Steps

#: How many due and how many expired jobs a claim moves along the way, and how often the latter.
STEP = 500
ROUNDS = 4

TAGS = json.Decoder(tuple[str, ...])


class Claiming(Core):
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
        rows = (yield from self._chosen(request, now)) if request.wanted > 0 else []
        if rows:
            yield self.sql["take"](
                process_id=request.process_id,
                claim_id=request.claim_id,
                now=now,
                ids=self.ids([row[0] for row in rows]),
            )
        due_in = None
        if len(rows) < request.wanted:
            due: list[Row] = yield self.sql["next_due"]()
            due_in = max(0, due[0][0] - now) if due else None
        return Claim(live=True, jobs=self.claims(rows), due_in=due_in)

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

    def _chosen(self, request: ClaimRequest, now: int) -> Steps[list[Row]]:
        """The rows to claim, in order."""
        if request.parked_kinds:
            rows: list[Row] = yield self.sql["ready_parked"](
                kinds=self.listed(request.parked_kinds),
                kinds_digest=request.kinds_digest,
                now=now,
                limit=request.wanted,
            )
            return rows
        paused = yield from self.paused(now)
        taken: list[Row] = []
        for line in request.lines:
            rows = yield from self._line(line, paused, request.wanted, now)
            if taken:
                # A queue may be on two lines: what the first has is not there for the second.
                mine = {row[0] for row in taken}
                rows = [row for row in rows if row[0] not in mine]
            taken += rows[: request.wanted - len(taken)]
            if len(taken) == request.wanted:
                break
        return taken

    def _line(self, line: Line, paused: frozenset[str], wanted: int, now: int) -> Steps[list[Row]]:
        rows: list[Row]
        queues: Sequence[str] | None = names(line)
        if queues is None:
            there: list[Row] = yield self.sql["ready_queues"]()
            queues = chosen(line, (name for (name,) in there))
        match [queue for queue in queues if queue not in paused]:
            case []:
                return []
            case [queue]:
                rows = yield self.sql["ready_queue"](queue=queue, now=now, limit=wanted)
                return rows
            case served:
                ids = yield from self.merged(served, wanted)
                rows = yield self.sql["ready_ids"](ids=self.ids(ids), now=now)
                return rows

    def merged(self, queues: list[str], wanted: int) -> Steps[list[str]]:
        """The first ids of several queues in their common order.

        Of each queue a few are read, and more where these turn out to be among the first.
        """
        each = max(4, 2 * wanted // len(queues))
        while True:
            rows: list[Row] = yield self.sql["ready_heads"](queues=self.listed(queues), each=each)
            rows.sort()
            first = rows[:wanted]
            read: dict[str, int] = {}
            # Behind the last one read of a queue there may be better ones than those that follow;
            # nothing follows the last one wanted.
            for _, _, _, queue in rows[: wanted - 1]:
                read[queue] = read.get(queue, 0) + 1
            if max(read.values(), default=0) < each:
                return [job_id for _, _, job_id, _ in first]
            each *= 4

    def claims(self, rows: list[Row]) -> tuple[Claimed, ...]:
        """Rows of the queries ``ready_...`` and ``claimed_again``: a record's fields in order."""
        records: list[Claimed] = []
        for row in rows:
            # Unpacked by name: half the price of cutting the tuple to put the tags in.
            (
                job_id, run, kind, queue, payload, priority, failures, interruptions, max_attempts,
                scheduled_at, created_at, claimed_at, timeout, keep_result, budgets, tags, meta,
            ) = row  # fmt: skip
            records.append(
                Claimed(
                    job_id, run, kind, queue, payload, priority, failures, interruptions,
                    max_attempts, scheduled_at, created_at, claimed_at, timeout, keep_result,
                    budgets, () if tags is None else TAGS.decode(tags), meta,
                )
            )  # fmt: skip
        return tuple(records)
