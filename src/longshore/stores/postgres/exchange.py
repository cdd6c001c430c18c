"""How a PostgreSQL store gives out jobs mostly: in one statement, together with the last reports.

That statement serves a line whose jobs are all in one queue, when nothing has fallen due or
expired, and no job there has limits or takes turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from longshore.core.model import Claimed, Ending
from longshore.core.store import Claim, ClaimRequest, Exchanged, Line
from longshore.stores.lines import names
from longshore.stores.postgres.core import Alone, Refused
from longshore.stores.postgres.finish import PostgresFinishing, alike
from longshore.stores.postgres.marks import BEHIND, EVERYTHING, SLOW, Marks
from longshore.stores.sql.claim import TAGS
from longshore.stores.sql.statements import Row, Steps
from longshore.stores.sql.walk import READ, is_bundled, limits_of

#: After so many tries in a row that found the one statement not enough, so many go without it.
TRIES: Final = 2
LEAVE_OUT: Final = 16

#: So many claimed jobs that have limits are remembered at most.
REMEMBERED: Final = 100_000


class Exchanging(PostgresFinishing):
    """The one statement that reports and claims."""

    in_vain = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Of each line asked for, of which a worker has a few.
        self._marks: dict[Line, Marks] = {}

    def at_once(self, endings: Sequence[Ending], request: ClaimRequest) -> Steps[Exchanged | None]:
        """All in one statement, if that can be."""
        if not self.quick or request.parked_kinds or len(request.lines) != 1:
            return None
        if self.in_vain >= TRIES:
            self.in_vain += 1
            if self.in_vain < TRIES + LEAVE_OUT:
                return None
            self.in_vain = TRIES - 1
        reports = alike(endings, request.process_id)
        if reports is None or self.slotted(endings):
            return None
        line = request.lines[0]
        marks = self._marks.setdefault(line, Marks())
        going = marks.going()
        hint = bool(endings) and self.hint(end=True)
        params = {
            **self.ending(),
            **reports,
            **_line(line),
            **(marks.params(_line(line)["names"]) if going.on else EVERYTHING),
            "claim_id": request.claim_id,
            "wanted": request.wanted,
            "slow": SLOW,
            **self.listened(tell=hint),
        }
        try:
            rows: list[Row] = yield Alone(self.sql["exchange"], params)
        except Refused:
            return None
        open_, _, due_in, dead, now, first, *_ = rows[0]
        if not open_:
            self.in_vain += 1
            return None
        self.in_vain = 0
        jobs = () if first is None else self.claims([row[5:] for row in rows])
        marks.came(going, jobs, len(endings), dead)
        marks.drained(now, fewer=len(jobs) < request.wanted)
        if endings and not hint:
            yield from self.told_apart(len(endings))
        if len(jobs) >= request.wanted:
            due_in = None
        elif going.on:
            due_in = marks.due_in(due_in, again=request.thorough and not jobs)
        held = frozenset([ending.lease for ending in endings])
        return Exchanged(held, Claim(live=True, jobs=jobs, due_in=due_in))

    def claims(self, rows: list[Row]) -> tuple[Claimed, ...]:
        """Rows of the queries that take jobs: a record's fields in order, JSON as text."""
        records: list[Claimed] = []
        if len(self.slots) > REMEMBERED:
            self.slots.clear()  # many were given back by others
        for row in rows:
            (
                job_id, run, kind, queue, payload, priority, failures, interruptions, max_attempts,
                scheduled_at, created_at, claimed_at, timeout, keep_result, budgets, tags, meta,
                rules,
            ) = row  # fmt: skip
            if rules is not None and _has_slot(rules):
                self.slots[job_id] = True
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


@lru_cache(READ)
def _has_slot(rules: str) -> bool:
    return is_bundled(rules) or any(limit.per is None for limit in limits_of(rules).values())


@lru_cache(maxsize=64)
def _line(line: Line) -> Mapping[str, Any]:
    """A line as the query ``exchange`` takes it."""
    exact = names(line)
    served = [q for q in line.queues if not q.endswith("*")] if exact is None else list(exact)
    starts = _starts(line.queues)
    return {
        "any": exact is None,
        "names": served,
        "starts": starts,
        "but_names": [queue for queue in line.excludes if not queue.endswith("*")],
        "but_starts": _starts(line.excludes),
        "low": min([*served, *starts], default=""),
        "high": max([*served, *(start + BEHIND for start in starts)], default=""),
    }


def _starts(queues: Sequence[str]) -> list[str]:
    return [queue[:-1] for queue in queues if queue.endswith("*")]
