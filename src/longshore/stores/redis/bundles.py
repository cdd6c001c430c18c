"""Batches and workflows in Redis: a hash each, its members in sorted sets beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import json, msgpack

from longshore.core.batches import Bundle, NewBundle, Together, older
from longshore.core.limits import Rules
from longshore.core.model import Inserted, NewJob
from longshore.core.store import operation
from longshore.errors import EnqueueUncertain
from longshore.stores.redis.producing import MOST, Producing, packed_job, same
from longshore.stores.redis.scripts import SCRIPTS, Steps, Value
from longshore.stores.redis.wire import Unreplicated
from longshore.stores.redis.words import word

_NEW: Final = json.Decoder(NewBundle)
_NONE: Final = Rules()


class Bundling(Producing):
    """Storing and reading what belongs together."""

    @operation(writes=True)
    def insert(
        self, jobs: Sequence[NewJob], together: Together | None = None
    ) -> Steps[Sequence[Inserted]]:
        """Store jobs, all or none; of more than :data:`MOST` in parts, the first having looked."""
        if together is None:
            return (yield from self.stored(jobs))
        first: dict[str, NewJob] = {}
        for job in jobs:
            first.setdefault(job.id, job)
        if len(first) == len(jobs):
            return (yield from self._stored_with(jobs, together))
        if not all(same(first[job.id], job) for job in jobs):
            return [Inserted(job.id, conflict=not same(first[job.id], job)) for job in jobs]
        found = yield from self._stored_with(list(first.values()), together)
        return _each(jobs, dict(zip(first, found, strict=True)))

    def _stored_with(self, jobs: Sequence[NewJob], together: Together) -> Steps[Sequence[Inserted]]:
        if len(jobs) > MOST:
            refused = yield from self.refusals(jobs)
            if refused:
                return refused
        answers: list[Inserted] = []
        for at in range(0, max(1, len(jobs)), MOST):
            part = jobs[at : at + MOST]
            more = at + MOST < len(jobs)
            found = yield from _joined(part, together, older((), together), more=more)
            if any(answer.conflict and not (answer.late or answer.held) for answer in found):
                # An id is another job's. Who meets holders as well is told so in the same answer.
                found = list((yield from self.refusals(part))) or found
            answers += found
            if any(answer.conflict for answer in found):
                return answers + [Inserted(job.id) for job in jobs[at + MOST :]]
        return answers

    @operation(writes=False)
    def bundles(
        self, ids: Sequence[str] | None = None, *, cursor: str | None = None, limit: int = 100
    ) -> Steps[tuple[Bundle, ...]]:
        """Batches and workflows, the newest first."""
        asked = () if ids is None else sorted(set(ids), reverse=True)
        if ids is not None and not asked:
            return ()
        rows: list[Any] = yield SCRIPTS["bundles"](
            limit if ids is None else 0, cursor or "", *asked
        )
        return tuple(map(_bundle, rows))

    @operation(writes=False)
    def members(
        self, bundle: str, *, live: bool = False, after: str = "", limit: int = 1000
    ) -> Steps[tuple[str, ...]]:
        """Ids of members, in order."""
        ids: list[bytes] = yield SCRIPTS["members"](bundle, int(live), after, limit)
        return tuple(one.decode() for one in ids)


def _each(jobs: Sequence[NewJob], known: Mapping[str, Inserted]) -> Sequence[Inserted]:
    """An answer for each job: of two with one id in a request the first is the job."""
    answers: list[Inserted] = []
    seen: set[str] = set()
    for job in jobs:
        answer = known[job.id]
        if job.id in seen and not (answer.held or answer.conflict):
            answer = Inserted(job.id, duplicate=True)
        seen.add(job.id)
        answers.append(answer)
    return answers


def _joined(
    jobs: Sequence[NewJob], together: Together, there: Sequence[str], *, more: bool
) -> Steps[list[Inserted]]:
    """Store jobs with what they belong to; ``more`` of them follow."""
    lease = together.lease
    head = [
        [packed_job(job) for job in jobs],
        [_packed(new) for new in together.bundles],
        there,
        # Not nothing: a list of Lua ends before it.
        False if lease is None else [lease.job_id, word(lease.process_id), str(lease.run)],
        more,
    ]
    joins = [
        [rules.bundles, [after.job_id for after in rules.after]]
        for rules in (job.rules or _NONE for job in jobs)
    ]
    args: list[Value] = [msgpack.encode(head), *(job.payload for job in jobs)]
    try:
        found: Any = yield SCRIPTS["together"](*args, msgpack.encode(joins))
    except Unreplicated as short:
        raise EnqueueUncertain(
            f"a request of {len(jobs)} jobs is written, but {short}; a failover may lose it."
            " Enqueueing the same ids again is safe.",
            jobs[0].id if jobs else together.bundles[0].id,
        ) from short
    return _answers(jobs, found)


def _answers(jobs: Sequence[NewJob], found: Any) -> list[Inserted]:
    match found:
        case [3, *_]:
            return [Inserted(job.id, conflict=True, late=True) for job in jobs]
        case [2, numbers]:
            others = frozenset(numbers)
            return [Inserted(job.id, conflict=at in others) for at, job in enumerate(jobs)]
        case _:
            stored, met = found[0], found[-1]
    there: frozenset[int] = frozenset(found[1]) if stored == 1 else frozenset()
    answers = [Inserted(job.id, duplicate=at in there) for at, job in enumerate(jobs)]
    for at in range(0, len(met), 3):
        answers[met[at]] = Inserted(
            met[at + 1].decode(),
            duplicate=stored == 1,
            conflict=stored == 0,
            held=True,
            replaced=met[at + 2] == 1,
        )
    return answers


def _packed(new: NewBundle) -> list[Any]:
    callbacks: list[Any] = []
    for name in ("success", "complete", "death"):
        job: NewJob | None = getattr(new, f"on_{name}")
        if job is not None:
            callbacks += [f"on_{name}", packed_job(job), f"with_{name}", job.payload.decode()]
    return [new.id, len(new.parents), json.encode(new).decode(), callbacks]


def _bundle(row: Any) -> Bundle:
    entry, succeeded, cancelled, dead, told, finished, live = row
    return Bundle(
        new=_NEW.decode(entry),
        succeeded=int(succeeded),
        cancelled=int(cancelled),
        dead=int(dead),
        told=int(told),
        finished_at=None if finished == b"-" else int(finished),
        live=live,
    )
