"""What people ask of all shards, merged in order, and what they order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from longshore.core.limits import KindRecord, LimitRecord, SetKind, SetLimit
from longshore.core.model import LOG_LINES, JobRecord, LogLine, Step
from longshore.core.store import (
    Changed,
    Counted,
    Demand,
    Filter,
    Operation,
    Page,
    ProcessRecord,
    QueueRecord,
    SetQueue,
    Store,
    operation,
)
from longshore.stores.sharded.core import Core, Steps
from longshore.stores.sharded.lives import base
from longshore.stores.sharded.reach import Visit, all_answered, answered, failed

_INCOMPLETE = "The other shards answer; without this one the answer would be incomplete."
#: More limit keys than a store has.
_EVERY = 1_000_000
#: A record of a limit names so many of the jobs that run under it.
_HOLDERS = 10
_REST = "What the other shards hold was changed. Repeat it when this one answers."


class Inspecting(Core):
    """Queries, verbs, queues and limits over all shards."""

    @operation(writes=False)
    def get(self, ids: Sequence[str]) -> Steps[Mapping[str, JobRecord]]:
        """Records by id, from the shard that each id names, else from wherever they are."""
        groups = self.by_shard(ids)
        replies = yield from self.visits(groups, lambda shard, mine: shard.get(mine))
        found = _records(replies)
        missing = {job_id for job_id in ids if job_id not in found}
        # An id that a program gave may name a shard by chance.
        elsewhere: dict[int, list[str]] = {}
        for shard in self.everywhere:
            mine = sorted(missing.difference(groups.get(shard, ())))
            if mine:
                elsewhere[shard] = mine
        more = yield from self.visits(elsewhere, lambda shard, mine: shard.get(mine))
        found |= _records(more)
        if not missing <= found.keys():
            all_answered([*replies, *more], _INCOMPLETE)
        return {job_id: found[job_id] for job_id in ids if job_id in found}

    @operation(writes=False)
    def find(
        self, where: Filter, *, limit: int, cursor: str | None = None, oldest_first: bool = False
    ) -> Steps[Page]:
        """Records by id, newest created first; a cursor is the last id of a page in any shard."""
        replies = yield from self.tour(
            lambda shard: shard.find(where, limit=limit, cursor=cursor, oldest_first=oldest_first)
        )
        pages: list[Page] = all_answered(replies, _INCOMPLETE)
        records = sorted(
            (record for page in pages for record in page.records),
            key=lambda record: record.id,
            reverse=not oldest_first,
        )
        more = len(records) > limit or any(page.cursor is not None for page in pages)
        shown = tuple(records[:limit])
        return Page(shown, shown[-1].id if shown and more else None)

    @operation(writes=False)
    def count(self, where: Filter) -> Steps[tuple[Counted, ...]]:
        """Exact counts by queue, kind and state."""
        replies = yield from self.tour(lambda shard: shard.count(where))
        total: Counter[tuple[str, str, Any]] = Counter()
        for counted in all_answered(replies, _INCOMPLETE):
            for one in counted:
                total[one.queue, one.kind, one.state] += one.jobs
        return tuple(Counted(*key, jobs) for key, jobs in sorted(total.items()))

    @operation(writes=False)
    def steps(self, ids: Sequence[str]) -> Steps[Mapping[str, tuple[Step, ...]]]:
        """The saved steps of these jobs, from wherever they are."""
        replies = yield from self._wherever(ids, lambda shard, mine: shard.steps(mine), frozenset)
        found: dict[str, tuple[Step, ...]] = {}
        for steps in replies:
            found.update(steps)
        return found

    @operation(writes=False)
    def logs(
        self, job_id: str, *, after: int = 0, limit: int = LOG_LINES
    ) -> Steps[tuple[LogLine, ...]]:
        """The first lines of a log behind a number, from the shard that has the job."""
        replies: list[tuple[LogLine, ...]] = yield from self._wherever(
            [job_id],
            lambda shard, mine: shard.logs(mine[0], after=after, limit=limit),
            lambda lines: frozenset([job_id] if lines else ()),
        )
        return next(filter(None, replies), ())

    @operation(writes=True)
    def expect(self, ids: Sequence[str], keep: int) -> Steps[frozenset[str]]:
        """Keep live jobs for a while after their end; returns those that are live."""
        replies = yield from self._wherever(
            ids, lambda shard, mine: shard.expect(mine, keep), frozenset
        )
        return frozenset[str]().union(*replies)

    @operation(writes=True)
    def cancel(self, ids: Sequence[str], reason: str | None) -> Steps[Changed]:
        """End live jobs; a running one is asked to."""
        return (yield from self._verb(ids, lambda shard, mine: shard.cancel(mine, reason)))

    @operation(writes=True)
    def retry(self, ids: Sequence[str]) -> Steps[Changed]:
        """Make ended, retrying and scheduled jobs available now."""
        return (yield from self._verb(ids, lambda shard, mine: shard.retry(mine)))

    @operation(writes=True)
    def delete(self, ids: Sequence[str]) -> Steps[Changed]:
        """Remove jobs that do not run."""
        return (yield from self._verb(ids, lambda shard, mine: shard.delete(mine)))

    @operation(writes=True)
    def move(self, ids: Sequence[str], queue: str) -> Steps[Changed]:
        """Put jobs that wait into another queue of their shard."""
        return (yield from self._verb(ids, lambda shard, mine: shard.move(mine, queue)))

    @operation(writes=True)
    def set_queue(self, request: SetQueue) -> Steps[None]:
        """Pause or resume a queue in every shard."""
        replies = yield from self.tour(lambda shard: shard.set_queue(request))
        all_answered(replies, _REST)

    @operation(writes=False)
    def queues(self) -> Steps[tuple[QueueRecord, ...]]:
        """Every queue that holds jobs or is paused in a shard that answers."""
        replies = yield from self.tour(lambda shard: shard.queues())
        parts: dict[str, list[QueueRecord]] = {}
        for queues in answered(replies):
            for queue in queues:
                parts.setdefault(queue.name, []).append(queue)
        return tuple(_queue(parts[name]) for name in sorted(parts))

    @operation(writes=False)
    def demand(self) -> Steps[Demand]:
        """What wants a worker in the shards that answer."""
        found: list[Demand] = answered((yield from self.tour(lambda shard: shard.demand())))
        return Demand(
            tuple(sorted({name for one in found for name in one.queues})),
            sum((Counter(one.parked) for one in found), Counter[str]()),
        )

    @operation(writes=True)
    def set_kind(self, request: SetKind) -> Steps[None]:
        """Pause or resume a kind in every shard."""
        replies = yield from self.tour(lambda shard: shard.set_kind(request))
        all_answered(replies, _REST)

    @operation(writes=False)
    def kinds(self) -> Steps[tuple[KindRecord, ...]]:
        """Every kind that is paused in a shard that answers."""
        replies = yield from self.tour(lambda shard: shard.kinds())
        parts: dict[str, list[KindRecord]] = {}
        for kinds in answered(replies):
            for kind in kinds:
                parts.setdefault(kind.kind, []).append(kind)
        return tuple(_kind(parts[name]) for name in sorted(parts))

    @operation(writes=True)
    def set_limit(self, request: SetLimit) -> Steps[None]:
        """Set a limit in every shard: each may have keys of it."""
        replies = yield from self.tour(lambda shard: shard.set_limit(request))
        all_answered(replies, _REST)

    @operation(writes=False)
    def limits(
        self, keys: Sequence[str] | None = None, *, limit: int = 1000
    ) -> Steps[tuple[LimitRecord, ...]]:
        """Limit keys of all shards, by key; a key is in one of them."""
        replies = yield from self.tour(lambda shard: shard.limits(keys, limit=limit))
        found: list[Sequence[LimitRecord]] = all_answered(replies, _INCOMPLETE)
        # A name that was set has a record of its own where it has no keys; elsewhere it may have.
        if any(one.key == "" for limits in found for one in limits) and any(
            len(limits) >= limit for limits in found
        ):
            replies = yield from self.tour(lambda shard: shard.limits(keys, limit=_EVERY))
            found = all_answered(replies, _INCOMPLETE)
        parts: dict[tuple[str, str], list[LimitRecord]] = {}
        for limits in found:
            for one in limits:
                parts.setdefault((one.key, one.name), []).append(one)
        used = {name for key, name in parts if key}
        chosen = [key for key in sorted(parts) if key[0] or key[1] not in used]
        return tuple(_limit(parts[key]) for key in chosen[:limit])

    @operation(writes=False)
    def processes(self) -> Steps[tuple[ProcessRecord, ...]]:
        """Every process that is registered in a shard that answers."""
        replies = yield from self.tour(lambda shard: shard.processes())
        parts: dict[str, list[ProcessRecord]] = {}
        for processes in answered(replies):
            for process in processes:
                parts.setdefault(base(process.id), []).append(process)
        return tuple(_process(name, parts[name]) for name in sorted(parts))

    @operation(writes=False)
    def identity(self) -> Steps[str | None]:
        """The id of the first shard, which stays the first when others are added."""
        reply = yield from self.ask(0, self.shards[0].identity())
        (first,) = all_answered([reply])
        return None if first is None else f"shards-{first}"

    def visits(
        self,
        groups: Mapping[int, list[str]],
        make: Callable[[Store, list[str]], Operation[Any]],
    ) -> Steps[list[Any]]:
        """Visit shards, each with its own ids."""
        visits = [Visit(shard, make(self.shards[shard], mine)) for shard, mine in groups.items()]
        return (yield visits) if visits else []

    def _wherever(
        self,
        ids: Sequence[str],
        make: Callable[[Store, list[str]], Operation[Any]],
        told_of: Callable[[Any], frozenset[str]],
    ) -> Steps[list[Any]]:
        """Ask the shards that the ids name, which must answer, then for the rest the others."""
        groups = self.by_shard(ids)
        replies: list[Any] = all_answered((yield from self.visits(groups, make)), _INCOMPLETE)
        left = set(ids).difference(*map(told_of, replies))
        elsewhere: dict[int, list[str]] = {}
        for shard in self.everywhere:
            mine = sorted(left.difference(groups.get(shard, ())))
            if mine:
                elsewhere[shard] = mine
        more = yield from self.visits(elsewhere, make)
        return [*replies, *(reply for reply in more if not failed(reply))]

    def _verb(
        self, ids: Sequence[str], make: Callable[[Store, list[str]], Operation[Changed]]
    ) -> Steps[Changed]:
        """Give an order to the shards that the ids name, then for the rest to the others."""
        groups = self.by_shard(ids)
        replies = yield from self.visits(groups, make)
        changed, requested, held = _done(replies)
        done = changed | requested | held
        left = [job_id for job_id in dict.fromkeys(ids) if job_id not in done]
        elsewhere: dict[int, list[str]] = {}
        for shard in self.everywhere:
            asked = set(groups.get(shard, ()))
            mine = [job_id for job_id in left if job_id not in asked]
            if mine:
                elsewhere[shard] = mine
        more = yield from self.visits(elsewhere, make)
        also, asked_also, held_also = _done(more)
        changed, requested, held = changed | also, requested | asked_also, held | held_also
        given = list(dict.fromkeys(ids))
        skipped = [job_id for job_id in given if job_id not in changed | requested | held]
        if skipped:
            all_answered([*replies, *more], _REST)
        return Changed(
            tuple(job_id for job_id in given if job_id in changed),
            tuple(job_id for job_id in given if job_id in requested),
            tuple(skipped),
            tuple(job_id for job_id in given if job_id in held),
        )


def _records(replies: Iterable[Any]) -> dict[str, JobRecord]:
    found: dict[str, JobRecord] = {}
    for reply in replies:
        if not failed(reply):
            found.update(reply)
    return found


def _done(replies: Iterable[Any]) -> tuple[set[str], set[str], set[str]]:
    answers: list[Changed] = [reply for reply in replies if not failed(reply)]
    return (
        {job_id for answer in answers for job_id in answer.changed},
        {job_id for answer in answers for job_id in answer.requested},
        {job_id for answer in answers for job_id in answer.held},
    )


def _queue(parts: Sequence[QueueRecord]) -> QueueRecord:
    """One queue of several shards; paused where any part of it is."""
    paused = next((part for part in parts if part.paused), None)
    return QueueRecord(
        name=parts[0].name,
        paused=paused is not None,
        reason=paused.reason if paused is not None else None,
        resumes_at=_last(part.resumes_at for part in parts if part.paused),
        depth=sum(part.depth for part in parts),
        scheduled=sum(part.scheduled for part in parts),
        running=sum(part.running for part in parts),
        latency=max(part.latency for part in parts),
    )


def _kind(parts: Sequence[KindRecord]) -> KindRecord:
    """One kind that is paused in several shards."""
    return msgspec.structs.replace(parts[0], resumes_at=_last(part.resumes_at for part in parts))


def _limit(parts: Sequence[LimitRecord]) -> LimitRecord:
    """One key; of several shards only where somebody else than an application put its jobs."""
    first = parts[0]
    if len(parts) == 1:
        return first
    holders = sorted(holder for part in parts for holder in part.holders)
    return msgspec.structs.replace(
        first,
        used=sum(part.used for part in parts),
        blocked=sum(part.blocked for part in parts),
        holders=tuple(holders[:_HOLDERS]),
        opens_at=min((part.opens_at for part in parts if part.opens_at is not None), default=None),
    )


def _last(resumes: Iterable[int | None]) -> int | None:
    """When all parts of a pause have ended; ``None``: one of them does not by itself."""
    last: int | None = None
    for at in resumes:
        if at is None:
            return None
        last = at if last is None else max(last, at)
    return last


def _process(name: str, parts: Sequence[ProcessRecord]) -> ProcessRecord:
    """One process as its shards know it; it lives while any of its leases does."""
    return msgspec.structs.replace(
        parts[0],
        id=name,
        started_at=min(part.started_at for part in parts),
        seen_at=max(part.seen_at for part in parts),
        lease_left=max(part.lease_left for part in parts),
        running=sum(part.running for part in parts),
    )
