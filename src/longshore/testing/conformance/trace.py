"""One script, every operation, the same answers: a store beside the memory store, step by step.

A script is made from a seed while it is played: the seed decides what comes next, the answers so
far decide what it is about (whose lease, which job). Both stores are given the same request at the
same time of the same clock; where their answers differ the play ends and says at which step. So all
stores whose play comes to its end give one trace.

What the seam leaves to a store is left out of the comparison (:mod:`.answers`) or settled before
it: a due job may stay scheduled until somebody looks at its queue, an expired one until it is
looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
import pytest

from longshore.core.limits import Rules
from longshore.core.model import (
    ENDED,
    Ending,
    Inserted,
    JobState,
    Lease,
    Patch,
    Progress,
)
from longshore.core.store import (
    Beat,
    Changed,
    Claim,
    ClaimRequest,
    Exchanged,
    Filter,
    Line,
    NewProcess,
    Orders,
    ProcessBeat,
    Rescue,
    Rescued,
    Retention,
    SetQueue,
)
from longshore.stores.clock import ManualClock
from longshore.stores.memory.store import MemoryStore
from longshore.testing.conformance.bench import (
    LEASE,
    MINUTE,
    SECOND,
    Bench,
    died,
    parked,
    succeeded,
)
from longshore.testing.conformance.lockstep import Stage
from longshore.testing.conformance.making import (
    EVERY_KIND,
    FAIR_QUEUES,
    IDENTITIES,
    LIMITS,
    PLAIN,
    PRIORITIES,
    QUEUES,
    Making,
)

T = TypeVar("T")

SEEDS: Final = (1, 2)

#: How often a script performs each operation at least.
LEAST: Final = 20

#: Odd microseconds: no step of time ends exactly where a retention does.
RETENTION: Final = Retention(succeeded=20 * SECOND + 3, cancelled=30 * SECOND + 3, dead=None)

LINES: Final = (
    (Line(("*",)),),
    (Line(("mail",)),),
    (Line(("mail*",)), Line(("reports",))),
    (Line(("reports",)), Line(("mail",)), Line(("mail.bulk",))),
    (Line(("*",), excludes=("mail.bulk",)), Line(("mail.b*",))),
    (Line(("mail", "reports")), Line(("*",))),
    (Line(("tenants",)),),
    (Line(("tenants*", "mail.bulk")),),
)
OPERATIONS: Final = (
    *("insert", "register", "claim", "finish", "exchange", "save", "beat"),
    *("elect", "promote", "rescue", "prune", "get", "find", "count"),
    *("cancel", "retry", "delete", "move", "set_queue", "queues", "processes"),
    *("set_kind", "kinds", "set_limit", "limits"),
)


class TraceConformance:
    """What a store answers to a long mixed script is what every store answers."""

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_script_gives_the_trace_that_all_stores_give(self, bench: Bench, seed: int) -> None:
        bench.open(RETENTION)
        Script(seed, Stage(bench.store, bench.clock, bench.drive)).play()


class Script(Making):
    """Plays one seed on a store and on the memory store; :attr:`trace` is what was answered.

    ``done`` counts operations, ``met`` what they met with: retries, promotions by a claim, jobs
    rescued, held back by a pause, parked, expired and so on.
    """

    def __init__(self, seed: int, stage: Stage | None = None) -> None:
        clock = ManualClock()
        memory = MemoryStore(clock=clock, retention=RETENTION)
        super().__init__(seed, Stage(memory, clock, memory.run), stage)
        self.leases: list[Lease] = []
        self.slots = ["", "", ""]
        self.born = 0
        self.claims: Counter[str] = Counter()
        self.asked: dict[str, ClaimRequest] = {}

    def play(self) -> Script:
        """Play to the end; fails at the first difference."""
        for slot in range(3):
            self.birth(slot)
        deck = [act for act, times in self.acts().items() for _ in range(times)]
        self.random.shuffle(deck)
        for number, act in enumerate(deck):
            act()
            if number % 25 == 0:
                self.everything()
        self.everything()
        return self

    def acts(self) -> Mapping[Callable[[], None], int]:
        """What may come next, and how often it does."""
        return {
            self.insert: 70,
            self.claim: 50,
            self.claim_again: 10,
            self.claim_parked: 16,
            self.finish: 60,
            self.finish_again: 10,
            self.exchange: 40,
            self.pass_time: 70,
            self.pause: 24,
            self.register: LEAST,
            self.save: LEAST,
            self.beat: 30,
            self.elect: LEAST,
            self.promote: LEAST,
            self.rescue: 12,
            self.rescue_dead: 16,
            self.prune: LEAST,
            self.get: LEAST,
            self.find: LEAST,
            self.count: LEAST,
            self.queues: LEAST,
            self.processes: LEAST,
            self.cancel: LEAST,
            self.retry: LEAST,
            self.delete: LEAST,
            self.move: LEAST,
            self.set_kind: 24,
            self.kinds: LEAST,
            self.set_limit: LEAST,
            self.crowd: LEAST,
        }

    # --- producing and consuming ---

    def insert(self) -> None:
        random, count = self.random, self.random.choice((1, 2, 3, 5))
        fields: dict[str, Any] = random.choice(
            (
                {},
                {},
                {"scheduled_at": self.now + random.choice((1, 7, 40)) * SECOND},
                {"expires_at": self.now + random.choice((5, 25)) * SECOND + 3},
                {"keep_result": None, "tags": ("t", "u")},
                {"timeout": SECOND, "max_attempts": 3, "fresh": True},
            )
        )
        new = [self.new(**fields) for _ in range(count)]
        if self.made and random.random() < 0.2:
            old = self.made[random.choice(list(self.made))]
            if random.random() < 0.3:
                old = msgspec.structs.replace(old, payload=b'{"v":1,"args":["other"]}')
            new.insert(0, msgspec.structs.replace(old, fresh=False))
        answers: Sequence[Inserted] = self.ask("insert", new)
        self.met["duplicate"] += any(answer.duplicate and not answer.held for answer in answers)
        self.met["held"] += any(answer.held for answer in answers)
        if any(answer.conflict for answer in answers):
            self.met["refused"] += any(answer.held and answer.conflict for answer in answers)
            self.met["conflict"] += any(answer.conflict and not answer.held for answer in answers)
            return
        self.met["replaced"] += any(answer.replaced for answer in answers)
        for job, answer in zip(new, answers, strict=True):
            if not answer.duplicate:
                self.made[job.id] = job

    def crowd(self) -> None:
        """More of one limit than may run, and a claim of their queue."""
        queue, limit = self.random.choice(QUEUES), self.random.choice(LIMITS)
        new = [self.new(queue=queue, rules=Rules(limits=(limit,))) for _ in range(5)]
        self.ask("insert", new)
        self.made |= {job.id: job for job in new}
        self.claim_with(self.request(4, lines=(Line((queue,)),)))
        self.limits()

    def register(self) -> None:
        self.birth(self.random.randrange(3))

    def birth(self, slot: int) -> None:
        """Another process takes a slot; nobody says so of the one before."""
        self.born += 1
        self.slots[slot] = name = f"process-{self.born}"
        process = NewProcess(
            id=name,
            app="app",
            name=f"name-{self.born}",
            host="host",
            pid=self.born,
            lease=LEASE,
            queues=("*",),
            kinds=EVERY_KIND,
            slots=3,
            embedded=False,
        )
        self.ask("register", process)

    def claim(self) -> None:
        self.claim_with(self.request(self.random.choice((1, 2, 5))))

    def claim_again(self) -> None:
        if self.asked:
            self.claim_with(self.asked[self.random.choice(list(self.asked))], again=True)

    def claim_parked(self) -> None:
        self.some_running(1)
        if self.random.random() < 0.5:
            self.tell([parked(self.random.choice(self.leases), "d1")])
        digest = self.random.choice(("d1", "d2"))
        self.claim_with(self.request(2, lines=(), kinds=EVERY_KIND, digest=digest))

    def request(
        self,
        wanted: int,
        *,
        lines: tuple[Line, ...] | None = None,
        kinds: tuple[str, ...] = (),
        digest: str = "",
    ) -> ClaimRequest:
        process = self.random.choice(self.slots)
        self.claims[process] += 1
        lines = self.random.choice(LINES) if lines is None else lines
        self.met["several lines"] += len(lines) > 1
        self.met["wildcards"] += any("*" in name for line in lines for name in line.queues)
        free = self.random.choice((9, 9, 1, 0))
        return ClaimRequest(process, self.claims[process], wanted, lines, kinds, digest, free)

    def claim_with(self, request: ClaimRequest, *, again: bool = False) -> None:
        claim = self.ask("claim", request, again=again)
        self.took(request, claim)

    def took(self, request: ClaimRequest, claim: Claim) -> None:
        process = request.process_id
        if not claim.live:
            self.met["lease lost"] += 1
            if process in self.slots:
                self.birth(self.slots.index(process))
            return
        self.asked[process] = request
        for job in claim.jobs:
            self.met["claimed"] += 1
            self.met["claimed again"] += job.run > 1
            self.met["retried"] += job.failures > 0
            self.met["parked claimed"] += bool(request.parked_kinds)
            self.met["due when claimed"] += job.scheduled_at > job.created_at
            lease = Lease(job.id, process, job.run)
            if lease not in self.leases:
                self.leases.append(lease)

    def finish(self) -> None:
        self.some_running(2)
        self.tell([self.ending(lease) for lease in self.some()])

    def finish_again(self) -> None:
        """What was reported once, or is nobody's any more."""
        if self.leases:
            lease = self.random.choice(self.leases)
            self.tell([succeeded(lease, b"1")])
            self.tell([died(lease), succeeded(lease, b"2")])

    def exchange(self) -> None:
        self.some_running(1)
        endings = [self.ending(lease) for lease in self.some()]
        request = self.request(self.random.choice((1, 3)))
        answer: Exchanged = self.ask("exchange", endings, request)
        self.told(endings, answer.held)
        self.took(request, answer.claim)

    def tell(self, endings: list[Ending]) -> None:
        self.told(endings, self.ask("finish", endings))

    def told(self, endings: list[Ending], held: frozenset[Lease]) -> None:
        for ending in endings:
            self.met[str(ending.to)] += ending.lease in held
            self.met["late ending"] += ending.lease not in held
            self.met["parked"] += ending.parked is not None and ending.lease in held

    def save(self) -> None:
        self.some_running(1)
        patches = [Patch(lease, Progress(self.random.randrange(9) / 2)) for lease in self.some()]
        self.met["progress"] += bool(self.ask("save", patches))

    def beat(self) -> None:
        if self.random.random() < 0.4:
            self.some_running(1)
            self.ask("cancel", [self.leases[-1].job_id], None)
        slots = self.random.sample(self.slots, 2)
        told = tuple(
            ProcessBeat(slot, max(0, self.claims[slot] + 1 - self.random.randrange(3)))
            for slot in sorted(slots)
        )
        lease = self.random.choice((LEASE, LEASE, None))
        orders: Orders = self.ask("beat", Beat(told, lease))
        self.met["cancel ordered"] += bool(orders.cancels)
        self.met["parked kinds told"] += bool(orders.parked_kinds)

    # --- time, death and maintenance ---

    def pass_time(self) -> None:
        self.advance(self.random.choice((1, 2, 4, 8, 17, 31)) * SECOND)

    def advance(self, duration: int) -> None:
        before = self.now
        self.pass_on_all(duration)
        expired = any(before < at <= self.now for at in self.expiries)
        # When it is noted that a job has expired is the store's affair: settled at once here.
        if expired:
            self.settle()

    def elect(self) -> None:
        if self.ask("elect", self.random.choice(self.slots), 10 * SECOND):
            self.met["elected"] += 1

    def promote(self) -> None:
        self.ask("promote", 1000)

    def settle(self) -> None:
        """Make every due job available and end every expired one, wherever that is put off."""
        self.ask("promote", 1000)

    def rescue(self) -> None:
        self.some_running(1)
        if self.random.random() < 0.7:
            self.advance(LEASE + 1)
        self.rescue_with(Rescue())

    def rescue_dead(self) -> None:
        self.some_running(1)
        slot = self.slots.index(self.leases[-1].process_id)
        started = frozenset((lease.job_id, lease.run) for lease in self.some())
        self.rescue_with(Rescue(self.slots[slot], started))
        self.birth(slot)

    def rescue_with(self, request: Rescue) -> None:
        rescued: Rescued = self.ask("rescue", request)
        self.met["rescued"] += len(rescued.leases)
        self.met["interrupted"] += sum(rescued.interrupted)

    def prune(self) -> None:
        if self.random.random() < 0.4:
            self.some_running(2)
            self.tell([succeeded(lease, b"old") for lease in self.leases[-2:]])
            self.advance(MINUTE)
        self.settle()
        # To the end: which of two that are past their time goes first, the seam does not say.
        limit = pruned = self.random.choice((3, 1000))
        while pruned == limit:
            pruned = self.ask("prune", limit)
            self.met["pruned"] += pruned

    # --- people ---

    def get(self) -> None:
        self.ask("get", [*self.ids(4), "00000000-0000-7000-8000-000000000000"])

    def find(self) -> None:
        random = self.random
        self.settle()
        where = Filter(
            ids=tuple(self.ids(5)) if random.random() < 0.2 else (),
            states=frozenset(random.sample(sorted(JobState), random.choice((0, 0, 1, 3)))),
            queues=tuple(random.sample((*QUEUES, *FAIR_QUEUES), random.choice((0, 1, 2)))),
            kinds=tuple(random.sample(EVERY_KIND, random.choice((0, 0, 1)))),
            identities=tuple(random.sample(IDENTITIES, random.choice((0, 0, 1, 2)))),
        )
        self.met["identity"] += bool(where.identities)
        self.pages(where, 7, oldest_first=random.random() < 0.5)

    def count(self) -> None:
        self.settle()
        identities = self.random.choice(((), (), IDENTITIES[:2]))
        queues = self.random.choice(((), QUEUES[:1]))
        self.ask("count", Filter(queues=queues, identities=identities))

    def queues(self) -> None:
        self.settle()
        self.ask("queues")

    def processes(self) -> None:
        self.ask("processes")

    def cancel(self) -> None:
        ids = dict.fromkeys([*self.ids(2), self.leases[-1].job_id] if self.leases else self.ids(3))
        changed: Changed = self.ask("cancel", list(ids), "stop")
        self.met["cancelled by a person"] += len(changed.changed)
        self.met["asked to end"] += len(changed.requested)

    def retry(self) -> None:
        self.settle()
        ended = self.state_of_all()
        some = [one for one, state in ended.items() if state in ENDED and self.may_hold(one)]
        ids = self.random.choice((self.ids(3), self.random.sample(some, min(len(some), 6))))
        changed: Changed = self.ask("retry", ids)
        self.met["not retried"] += len(changed.held)
        again = {job_id for job_id in changed.changed if ended[job_id] in ENDED}
        self.met["retried by a person"] += len(again)
        # How an ending is answered that arrives again after this, the seam does not say.
        self.vague |= {lease for lease in self.leases if lease.job_id in again}

    def delete(self) -> None:
        changed: Changed = self.ask("delete", self.ids(1))
        self.met["deleted"] += len(changed.changed)

    def move(self) -> None:
        some = self.ids(3)
        queues = self.queues_for(some[0]) if some else QUEUES
        ids = [job_id for job_id in some if self.queues_for(job_id) is queues]
        changed: Changed = self.ask("move", ids, self.random.choice(queues))
        self.met["moved"] += len(changed.changed)

    def pause(self) -> None:
        paused, wait = self.random.random() < 0.5, self.random.choice((None, 10 * SECOND + 3))
        queue = self.random.choice((*QUEUES, *FAIR_QUEUES))
        self.met["paused"] += paused
        self.ask("set_queue", SetQueue(queue, paused=paused, reason="why", pause_for=wait))

    # --- parts ---

    def ids(self, count: int) -> list[str]:
        """Some jobs, of late ones more."""
        known = list(self.made)
        known = self.random.choice((known, known[-20:]))
        return self.random.sample(known, min(len(known), count))

    def some(self) -> list[Lease]:
        """Some leases, the last ones among them."""
        late = self.random.sample(self.leases, min(len(self.leases), 2))
        return list(dict.fromkeys([*self.leases[-self.random.choice((1, 3)) :], *late]))

    def some_running(self, count: int) -> None:
        """See to it that jobs run under the last leases."""
        states = self.records([lease.job_id for lease in self.leases[-count:]])
        running = [one for one in states.values() if one.state is JobState.RUNNING]
        slots = {lease.process_id for lease in self.leases[-count:]}
        if len(running) >= count and slots <= {*self.slots}:
            return
        self.insert()
        plain = {"kind": PLAIN, "rules": None, "priority": PRIORITIES[0]}
        new = [self.new(queue="mail", **plain) for _ in range(count)]
        self.ask("insert", new)
        self.made |= {job.id: job for job in new}
        self.ask("set_queue", SetQueue("mail", paused=False))
        before = len(self.leases)
        while len(self.leases) < before + count:
            self.claim_with(self.request(count, lines=(Line(("mail",)),)))

    def everything(self) -> None:
        """Compare every stored job and every figure."""
        self.settle()
        self.pages(Filter(), 100_000, oldest_first=True)
        for name in ("queues", "processes", "kinds", "limits"):
            self.ask(name)
        self.ask("count", Filter())
