"""Answers of stores made comparable: without what the seam leaves to each of them.

A due job may still be called scheduled; answers about sets come in any order; what a repeated claim
gives comes in any order too; who waits for which limit may not be marked yet; the line of a run
that was given back before it had started may be missing; a dead process without jobs may be
forgotten at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from longshore.core.limits import KindRecord, LimitRecord
from longshore.core.model import ENDED, Inserted, JobRecord, JobState, Lease, Why
from longshore.core.store import (
    Changed,
    Claim,
    Counted,
    Exchanged,
    Orders,
    Page,
    ProcessRecord,
    QueueRecord,
    Rescued,
)


class View:
    """How answers given at one moment are compared.

    ``vague``: leases of which the seam does not say how a late ending is answered; ``again``: the
    claim is a repeated one.
    """

    def __init__(self, now: int, vague: set[Lease], *, again: bool) -> None:
        self.now = now
        self.vague = vague
        self.again = again

    def of(self, name: str, answer: Any) -> object:
        """The comparable form of one operation's answer."""
        compare = _COMPARED.get(name)
        return answer if compare is None else compare(self, answer)

    def claim(self, claim: Claim) -> object:
        if self.again:
            return (claim.live, sorted(claim.jobs, key=lambda job: job.id))
        return (claim.live, list(claim.jobs))

    def held(self, held: frozenset[Lease]) -> object:
        return held - self.vague

    def exchanged(self, answer: Exchanged) -> object:
        return (self.held(answer.held), self.claim(answer.claim))

    def promoted(self, _: int) -> object:
        """How many were left to promote depends on how many the claims before it did."""
        return None

    def rescued(self, answer: Rescued) -> object:
        return (dict(zip(answer.leases, answer.interrupted, strict=True)), answer.withheld)

    def changed(self, answer: Changed) -> object:
        some = (answer.changed, answer.requested, answer.skipped, answer.held)
        return tuple(sorted(ids) for ids in some)

    def orders(self, orders: Orders) -> object:
        return (orders.lost, frozenset(orders.cancels), orders.parked_kinds)

    def page(self, page: Page) -> object:
        return ([self.job(record) for record in page.records], page.cursor is None)

    def records(self, records: Mapping[str, JobRecord]) -> object:
        return {job_id: self.job(record) for job_id, record in records.items()}

    def counted(self, counted: Sequence[Counted]) -> object:
        return {(c.queue, c.kind, c.state): c.jobs for c in counted if c.jobs}

    def queues(self, queues: Sequence[QueueRecord]) -> object:
        return [msgspec.structs.asdict(queue) for queue in queues]

    def processes(self, processes: Sequence[ProcessRecord]) -> object:
        return [
            {**msgspec.structs.asdict(one), "seen_at": None}
            for one in sorted(processes, key=lambda one: one.id)
            if one.lease_left > 0
        ]

    def inserted(self, answers: Sequence[Inserted]) -> object:
        """Of a request that is refused only what refuses it: nothing of the rest was done."""
        return [answer for answer in answers if answer.conflict] or list(answers)

    def limits(self, limits: Sequence[LimitRecord]) -> object:
        """Who waits for which limit is a store's own affair, and so are limits nobody uses."""
        used = {one.key: (one.name, one.value, one.used, one.holders) for one in limits if one.used}
        return (used, {one.name: one.setting for one in limits if one.setting})

    def kinds(self, kinds: Sequence[KindRecord]) -> object:
        return list(kinds)

    def job(self, record: JobRecord) -> dict[str, object]:
        """A job: what its state gives a meaning to, and no more."""
        state = record.state
        late = state in DUE_LATER and record.scheduled_at <= self.now
        running, ended = state is JobState.RUNNING, state in ENDED
        return {
            **{name: getattr(record, name) for name in _ALWAYS},
            "state": JobState.AVAILABLE if late else state,
            "claim": (record.claimed_by, record.claimed_at, record.cancel_requested) * running,
            "progress": record.progress if running else None,
            "reason": record.reason if ended else None,
            "runs": [
                (line.run, line.process, line.why, line.error, line.message)
                for line in record.runs
                if line.why is not Why.RELEASED
            ],
        }


def only(answer: object, other: object) -> object:
    """The part of a long answer in which it differs from another."""
    match answer, other:
        case (list() | tuple(), list() | tuple()):
            ones, twos = cast("Sequence[object]", answer), cast("Sequence[object]", other)
            for number, (one, two) in enumerate(zip(ones, twos, strict=False)):
                if one != two:
                    return f"[{number}]: {only(one, two)}"
            return f"{len(ones)} of them"
        case dict(), dict():
            mine = cast("Mapping[object, object]", answer)
            theirs = cast("Mapping[object, object]", other)
            keys = sorted({*mine, *theirs}, key=repr)
            return {key: mine.get(key) for key in keys if mine.get(key) != theirs.get(key)}
        case _:
            return answer


DUE_LATER: Final = frozenset({JobState.SCHEDULED, JobState.RETRYING})

_ALWAYS: Final = (
    *("id", "kind", "queue", "payload", "priority", "run", "failures", "interruptions"),
    *("max_attempts", "scheduled_at", "created_at", "attempted_at", "finalized_at"),
    *("expires_at", "timeout", "keep_result", "parked", "result", "result_error"),
    *("tags", "meta", "identity", "rules"),
)

_COMPARED: Final[Mapping[str, Callable[[View, Any], object]]] = {
    "insert": View.inserted,
    "claim": View.claim,
    "finish": View.held,
    "exchange": View.exchanged,
    "beat": View.orders,
    "promote": View.promoted,
    "rescue": View.rescued,
    "get": View.records,
    "find": View.page,
    "count": View.counted,
    "queues": View.queues,
    "limits": View.limits,
    "kinds": View.kinds,
    "processes": View.processes,
    **dict.fromkeys(("cancel", "retry", "delete", "move"), View.changed),
}
