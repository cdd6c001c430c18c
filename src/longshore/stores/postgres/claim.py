"""How a PostgreSQL store gives out jobs: mostly in one statement, together with the last reports.

That statement serves a line whose jobs are all in one queue, when nothing has fallen due or
expired. Whatever else there is to do first is done in a transaction, in the order that all stores
have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from longshore.core.model import Claimed, Ending, Lease
from longshore.core.store import Claim, ClaimRequest, Exchanged, Line, operation
from longshore.stores.lines import chosen, names
from longshore.stores.postgres.core import Alone, Refused
from longshore.stores.postgres.finish import PostgresFinishing, alike
from longshore.stores.sql.claim import ROUNDS, STEP, TAGS, Claiming
from longshore.stores.sql.core import Deltas
from longshore.stores.sql.statements import Row, Steps

#: After so many tries in a row that found the one statement not enough, so many go without it.
TRIES: Final = 2
LEAVE_OUT: Final = 16

#: How often a claim looks again after others have taken what it had chosen.
AGAIN: Final = 10


class PostgresClaiming(PostgresFinishing, Claiming):
    """The steps of a claim."""

    _in_vain = 0

    @operation(writes=True)
    def claim(self, request: ClaimRequest) -> Steps[Claim]:
        """Promote what is due, then take jobs."""
        exchanged = yield from self._at_once((), request)
        if exchanged is not None:
            return exchanged.claim
        return (yield from self.claimed(request, 0, {}))

    @operation(writes=True)
    def exchange(self, endings: Sequence[Ending], request: ClaimRequest) -> Steps[Exchanged]:
        """Finish, then claim, in one commit."""
        exchanged = yield from self._at_once(endings, request)
        if exchanged is not None:
            return exchanged
        held: frozenset[Lease] = frozenset()
        if endings:
            now = yield from self.time()
            held = yield from self.finished(endings, now, {})
            if held:
                yield from self.told()
        claim = yield from self.claimed(request, 0, {})
        return Exchanged(held, claim)

    def _at_once(self, endings: Sequence[Ending], request: ClaimRequest) -> Steps[Exchanged | None]:
        """All in one statement, if that can be."""
        if not self.quick or request.parked_kinds or len(request.lines) != 1:
            return None
        if self._in_vain >= TRIES:
            self._in_vain += 1
            if self._in_vain < TRIES + LEAVE_OUT:
                return None
            self._in_vain = TRIES - 1
        reports = alike(endings, request.process_id)
        if reports is None:
            return None
        params = {
            **self.ending(),
            **reports,
            **_line(request.lines[0]),
            "claim_id": request.claim_id,
            "wanted": request.wanted,
            "notify": bool(endings) and self.hint(end=True),
        }
        try:
            rows: list[Row] = yield Alone(self.sql["exchange"], params)
        except Refused:
            return None
        open_, _, due_in, first, *_ = rows[0]
        if not open_:
            self._in_vain += 1
            return None
        self._in_vain = 0
        jobs = () if first is None else self.claims([row[3:] for row in rows])
        return Exchanged(
            frozenset([ending.lease for ending in endings]),
            Claim(live=True, jobs=jobs, due_in=due_in if len(jobs) < request.wanted else None),
        )

    def claimed(self, request: ClaimRequest, now: int, deltas: Deltas) -> Steps[Claim]:
        """Promote what is due, then take jobs, in a transaction that is open or begins here."""
        look = yield from self._look(request)
        now, live, again, due_at, expired, _, _ = look
        if not live:
            return Claim(live=False)
        if again:
            rows: list[Row] = yield self.sql["claimed_again"](
                process_id=request.process_id, claim_id=request.claim_id
            )
            return Claim(live=True, jobs=self.claims(rows))
        due = due_at is not None and due_at <= now
        if due:
            yield from self.promoted(STEP, now)
        if expired:
            for _ in range(ROUNDS):
                if (yield from self.expired(STEP, now, deltas)) < STEP:
                    break
            else:
                # So many have expired that the others would have to be searched for: come again.
                return Claim(live=True, due_in=0)
        if due or expired:
            look = yield from self._look(request)
        rows = (yield from self._taken(request, look)) if request.wanted > 0 else []
        due_in = None
        if len(rows) < request.wanted and look[3] is not None:
            due_in = max(0, look[3] - look[0])
        return Claim(live=True, jobs=self.claims(rows), due_in=due_in)

    def claims(self, rows: list[Row]) -> tuple[Claimed, ...]:
        """Rows of the queries that take jobs: a record's fields in order, JSON as text."""
        records: list[Claimed] = []
        for row in rows:
            (
                job_id, run, kind, queue, payload, priority, failures, interruptions, max_attempts,
                scheduled_at, created_at, claimed_at, timeout, keep_result, budgets, tags, meta,
            ) = row  # fmt: skip
            records.append(
                Claimed(
                    job_id, run, kind, queue, payload.encode(), priority, failures, interruptions,
                    max_attempts, scheduled_at, created_at, claimed_at, timeout, keep_result,
                    None if budgets is None else budgets.encode(),
                    () if tags is None else TAGS.decode(tags),
                    None if meta is None else meta.encode(),
                )
            )  # fmt: skip
        return tuple(records)

    def _look(self, request: ClaimRequest) -> Steps[Row]:
        rows: list[Row] = yield self.sql["look"](
            process_id=request.process_id,
            claim_id=request.claim_id,
            now=self.given_now(),
            any=any(names(line) is None for line in request.lines),
        )
        return rows[0]

    def _taken(self, request: ClaimRequest, look: Row) -> Steps[list[Row]]:
        """Begin runs of the first jobs, line by line; their rows in order."""
        now, _, _, _, _, paused, there = look
        claim = {"process_id": request.process_id, "claim_id": request.claim_id, "now": now}
        if request.parked_kinds:
            rows: list[Row] = yield self.sql["take_parked"](
                kinds=list(request.parked_kinds),
                kinds_digest=request.kinds_digest,
                wanted=request.wanted,
                **claim,
            )
            return rows
        taken: list[Row] = []
        for line in request.lines:
            queues = names(line)
            served = chosen(line, there) if queues is None else queues
            served = [queue for queue in served if queue not in paused]
            taken += yield from self._of_queues(served, request.wanted - len(taken), claim)
            if len(taken) == request.wanted:
                break
        return taken

    def _of_queues(
        self, queues: Sequence[str], wanted: int, claim: dict[str, Any]
    ) -> Steps[list[Row]]:
        rows: list[Row]
        if not queues:
            return []
        if len(queues) == 1:
            rows = yield self.sql["take_queue"](queue=queues[0], wanted=wanted, **claim)
            return rows
        taken: list[Row] = []
        for _ in range(AGAIN):
            ids = yield from self.merged(list(queues), wanted - len(taken))
            rows = yield self.sql["take_ids"](ids=ids, **claim)
            taken += rows
            # What others have locked meanwhile is not there at the next look.
            if len(rows) == len(ids):
                break
        return taken


def _line(line: Line) -> dict[str, Any]:
    """A line as the query ``exchange`` takes it."""
    exact = names(line)
    return {
        "any": exact is None,
        "names": [q for q in line.queues if not q.endswith("*")] if exact is None else list(exact),
        "starts": _starts(line.queues),
        "but_names": [queue for queue in line.excludes if not queue.endswith("*")],
        "but_starts": _starts(line.excludes),
    }


def _starts(queues: Sequence[str]) -> list[str]:
    return [queue[:-1] for queue in queues if queue.endswith("*")]
