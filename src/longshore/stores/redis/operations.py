"""What workers ask of Redis: each operation one script, without any I/O."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import compress
from typing import Any, Final

from msgspec import json, msgpack

from longshore.core.interruptions import AFTER_END, BEFORE_START, Crash
from longshore.core.model import (
    TRANSITIONS,
    Claimed,
    Ending,
    JobState,
    Lease,
    Patch,
)
from longshore.core.store import (
    Beat,
    Claim,
    ClaimRequest,
    Exchanged,
    Line,
    NewProcess,
    Orders,
    Rescue,
    Rescued,
    operation,
)
from longshore.core.unread import Unread
from longshore.stores.lines import names
from longshore.stores.redis.producing import Core
from longshore.stores.redis.scripts import SCRIPTS, Steps, Value
from longshore.stores.redis.words import TEXT, changed, fresh, step_words, text, word


class Consuming(Core):
    """Claims, endings and leases."""

    @operation(writes=True)
    def register(self, process: NewProcess) -> Steps[None]:
        """Create a process's record and lease."""
        yield SCRIPTS["register"](word(process.id), json.encode(process), process.lease)

    @operation(writes=True)
    def claim(self, request: ClaimRequest) -> Steps[Claim]:
        """Promote what is due, then take jobs."""
        return _claim((yield SCRIPTS["claim"](*self._request(request))))

    @operation(writes=True)
    def finish(self, endings: Sequence[Ending]) -> Steps[frozenset[Lease]]:
        """Report ends, in any mixture."""
        if not endings:
            return frozenset()
        args, order = _report(endings)
        return _held(order, (yield SCRIPTS["finish"](*args)))

    @operation(writes=True)
    def exchange(self, endings: Sequence[Ending], request: ClaimRequest) -> Steps[Exchanged]:
        """Finish, then claim, in one script."""
        if not endings:
            return Exchanged(frozenset(), _claim((yield SCRIPTS["claim"](*self._request(request)))))
        args, order = _report(endings)
        refused, claim = yield SCRIPTS["exchange"](*self._request(request), *args)
        return Exchanged(_held(order, refused), _claim(claim))

    @operation(writes=True)
    def save(self, patches: Sequence[Patch]) -> Steps[frozenset[Lease]]:
        """Write progress, steps and log lines of running jobs."""
        args: list[Value] = []
        for patch in patches:
            lease, said = patch.lease, patch.progress
            head = f"running {lease.run} {word(lease.process_id)} "
            progress = "" if said is None else json.encode(said)
            args += (lease.job_id, head, progress, len(patch.steps), len(patch.lines))
            for step in patch.steps:
                args += (step.name, step_words(step))
            for line in patch.lines:
                args += (line.number, json.encode(line))
        return _held([patch.lease for patch in patches], (yield SCRIPTS["save"](*args)))

    @operation(writes=True)
    def beat(self, beat: Beat) -> Steps[Orders]:
        """Renew leases, give back claims that never arrived, fetch orders."""
        args: list[Value] = []
        for child in beat.processes:
            args += (word(child.id), child.oldest_claim)
        lease = "" if beat.lease is None else beat.lease
        lost, cancels, kinds, processes = yield SCRIPTS["beat"](lease, *args)
        return Orders(
            lost=frozenset(map(text, lost)),
            cancels=tuple(
                Lease(job_id.decode(), text(process), int(run))
                for job_id, process, run in _threes(cancels)
            ),
            parked_kinds=frozenset(map(text, kinds)),
            processes=processes,
        )

    def _request(self, request: ClaimRequest) -> list[Value]:
        rest = _packed(
            request.lines, request.parked_kinds, word(request.kinds_digest), tuple(self.ears)
        )
        process = word(request.process_id)
        return [process, request.claim_id, request.wanted, rest, request.free]


class Maintaining(Core):
    """Bounded and idempotent; any process may call these at any time."""

    @operation(writes=True)
    def elect(self, process_id: str, lease: int) -> Steps[bool]:
        """Become or stay the one that prunes."""
        elected: int = yield SCRIPTS["elect"](word(process_id), lease)
        return elected == 1

    @operation(writes=True)
    def promote(self, limit: int) -> Steps[int]:
        """Make due jobs available; cancel those that have expired."""
        promoted: int = yield SCRIPTS["promote"](limit)
        return promoted

    @operation(writes=True)
    def rescue(self, request: Rescue) -> Steps[Rescued]:
        """Give back running jobs whose process is gone."""
        dead = "" if request.dead is None else word(request.dead)
        started = request.started
        seen = [
            f"{job_id} {run}" if (job_id, run) not in request.over else f"{job_id} {run} over"
            for job_id, run in started or ()
        ]
        patience = "" if request.patience is None else request.patience
        withheld, *words = yield SCRIPTS["rescue"](
            dead,
            request.limit,
            int(started is not None),
            patience,
            *map(_note, (request.crash, Crash(BEFORE_START), Crash(AFTER_END))),
            *seen,
        )
        rows = [words[at : at + 4] for at in range(0, len(words), 4)]
        return Rescued(
            tuple(
                Lease(job_id.decode(), text(process), int(run)) for job_id, process, run, _ in rows
            ),
            tuple(interrupted == 1 for *_, interrupted in rows),
            withheld,
        )

    @operation(writes=True)
    def prune(self, limit: int) -> Steps[int]:
        """Delete ended jobs past their retention, the oldest first."""
        pruned: int = yield SCRIPTS["prune"](limit)
        return pruned


def _note(note: Crash | None) -> str:
    """Members of a JSON object, after others."""
    return "" if note is None else f",{json.encode(note).decode()[1:-1]}"


@lru_cache(256)
def _packed(lines: Sequence[Line], kinds: Sequence[str], digest: str, ears: Sequence[str]) -> bytes:
    """The part of a claim that is the same from one to the next."""
    return msgpack.encode(
        [
            [
                [
                    list(dict.fromkeys(map(_pattern, line.queues))),
                    list(map(_pattern, line.excludes)),
                    names(line) is None,
                ]
                for line in lines
            ],
            list(map(word, kinds)),
            digest,
            ears,
        ]
    )


def _pattern(queue: str) -> str:
    return f"{word(queue[:-1])}*" if queue.endswith("*") and len(queue) > 1 else word(queue)


def _claim(answer: Any) -> Claim:
    if not answer[0]:
        return Claim(live=False)
    _, due_in, time, ids, lines, payloads, told = answer
    now, left = int(time), int(due_in) if due_in else None

    def read() -> tuple[Claimed, ...]:
        jobs = fresh(ids, lines, payloads, now)
        for number, state, budgets in _threes(told):
            at = int(number)
            jobs[at] = changed(jobs[at], state, budgets or None)
        return tuple(jobs)

    return Claim(live=True, jobs=Unread(len(ids), read), due_in=left)


def _report(endings: Sequence[Ending]) -> tuple[list[Value], list[Lease]]:
    """The values of the script ``finish``, and the leases in the order in which it counts them."""
    # Most just succeeded, and have nothing to tell but their result. Of two reports on one job the
    # first counts: these stay in their order.
    alone = len({ending.lease.job_id for ending in endings}) == len(endings)
    tells = [
        not alone
        or ending.to is not _SUCCEEDED
        or ending.entry is not None
        or ending.reason is not None
        or ending.result_error is not None
        or ending.failed
        or ending.interrupted
        for ending in endings
    ]
    plain, others = endings, list(compress(endings, tells))
    if others:
        plain = [ending for ending, more in zip(endings, tells, strict=True) if not more]
        if wrong := next((ending.to for ending in others if ending.to not in _ENDS), None):
            raise ValueError(f"a run cannot end in the state {wrong}")
    groups = _by_run([ending.lease for ending in plain])
    order = [lease for group in groups for lease in group]
    results = [
        part
        for ending in plain
        if ending.result is not None
        for part in (ending.lease.job_id, ending.result)
    ]
    loose: list[Value] = []
    head = msgpack.encode(
        [
            [(word(group[0].process_id), str(group[0].run), len(group)) for group in groups],
            len(order),
            len(results) // 2,
            [_ending(ending, loose) for ending in others],
        ]
    )
    args: list[Value] = [head, *[lease.job_id for lease in order], *results, *loose]
    return args, order + [ending.lease for ending in others]


def _by_run(leases: list[Lease]) -> list[list[Lease]]:
    """Those of one process and of the same run together: mostly all."""
    if len({lease.run for lease in leases}) == 1 == len({lease.process_id for lease in leases}):
        return [leases]
    groups: dict[tuple[str, int], list[Lease]] = {}
    for lease in leases:
        groups.setdefault((lease.process_id, lease.run), []).append(lease)
    return list(groups.values())


_SUCCEEDED: Final = JobState.SUCCEEDED
_ENDS: Final = TRANSITIONS[JobState.RUNNING]


def _ending(ending: Ending, loose: list[Value]) -> list[Any]:
    """An ending as ``scripts/ending.lua`` reads it; numbers as text, for Lua would round them.

    Bytes go into ``loose``, and their number there: Lua's MessagePack has no word for them.
    """
    lease = ending.lease

    def put(value: bytes | None) -> int | None:
        if value is None:
            return None
        loose.append(value)
        return len(loose)

    return [
        lease.job_id,
        word(lease.process_id),
        str(lease.run),
        TEXT[ending.to],
        None if ending.at is None else str(ending.at),
        ending.failed,
        ending.interrupted,
        put(None if ending.entry is None else json.encode(ending.entry)),
        put(ending.result),
        ending.result_error,
        ending.reason,
        put(ending.budgets),
        ending.parked,
        word(ending.parked_by or ""),
        None if ending.queue is None else word(ending.queue),
        None if ending.priority is None else str(ending.priority),
    ]


def _held(order: Sequence[Lease], refused: Sequence[int]) -> frozenset[Lease]:
    if not refused:
        return frozenset(order)
    not_held = frozenset(refused)
    return frozenset(lease for number, lease in enumerate(order) if number not in not_held)


def _threes(words: list[Any]) -> list[list[Any]]:
    return [words[at : at + 3] for at in range(0, len(words), 3)]
