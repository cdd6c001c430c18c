"""What all acts of a script share: its processes and leases, and jobs that are sure to run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from longshore.core.batches import Together
from longshore.core.model import ENDED, Ending, Inserted, JobState, Lease, NewJob
from longshore.core.store import (
    Changed,
    Claim,
    ClaimRequest,
    Exchanged,
    Line,
    NewProcess,
    ProcessRecord,
    SetQueue,
)
from longshore.testing.conformance.bench import LEASE, SECOND
from longshore.testing.conformance.lockstep import Stage
from longshore.testing.conformance.making import EVERY_KIND, PLAIN, PRIORITIES, Making

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


class Playing(Making):
    """The processes of a script in three slots, and the leases that they have had."""

    def __init__(self, seed: int, first: Stage, other: Stage | None) -> None:
        super().__init__(seed, first, other)
        self.leases: list[Lease] = []
        self.slots = ["", "", ""]
        self.born = 0
        self.claims: Counter[str] = Counter()
        self.asked: dict[str, ClaimRequest] = {}
        #: Jobs of which steps were saved.
        self.noted: dict[str, None] = {}

    # --- verbs ---

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
        self.insert_new(new)

    def insert_new(self, new: list[NewJob]) -> None:
        """Store jobs."""
        bound = any(job.rules is not None and job.rules.bundles for job in new)
        answers: Sequence[Inserted] = self.ask("insert", new, *[Together()] * bound)
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

    def request(
        self,
        wanted: int,
        *,
        lines: tuple[Line, ...] | None = None,
        kinds: tuple[str, ...] = (),
        digest: str = "",
        sure: bool = False,
    ) -> ClaimRequest:
        """The next claim of some process; a ``sure`` one is of a live process with free slots."""
        process = self.alive() if sure else self.random.choice(self.slots)
        self.claims[process] += 1
        lines = self.random.choice(LINES) if lines is None else lines
        self.met["several lines"] += len(lines) > 1
        self.met["wildcards"] += any("*" in name for line in lines for name in line.queues)
        free = 9 if sure else self.random.choice((9, 9, 1, 0))
        return ClaimRequest(process, self.claims[process], wanted, lines, kinds, digest, free)

    def alive(self) -> str:
        """A process that has its lease."""
        shown: Sequence[ProcessRecord] = self.look("processes")
        alive = [one.id for one in shown if one.lease_left > 0 and one.id in self.slots]
        if not alive:
            self.birth(0)
        return self.random.choice(alive or self.slots[:1])

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
            self.met["follower claimed"] += job.id in self.follow
            if job.failures and job.id in self.noted:
                self.met["steps kept by a retry"] += bool(self.look("steps", [job.id]))
            lease = Lease(job.id, process, job.run)
            if lease not in self.leases:
                self.leases.append(lease)

    def exchange_with(self, endings: list[Ending], request: ClaimRequest) -> None:
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

    def retry_all(self, ids: list[str]) -> None:
        """A person has jobs run again."""
        ended = self.state_of_all()
        changed: Changed = self.ask("retry", ids)
        self.met["not retried"] += len(changed.held)
        again = {job_id for job_id in changed.changed if ended[job_id] in ENDED}
        self.met["retried by a person"] += len(again)
        # How an ending is answered that arrives again after this, the seam does not say.
        self.vague |= {lease for lease in self.leases if lease.job_id in again}

    # --- time ---

    def advance(self, duration: int) -> None:
        before = self.now
        self.pass_on_all(duration)
        expired = any(before < at <= self.now for at in self.expiries)
        # When it is noted that a job has expired is the store's affair: settled at once here.
        if expired:
            self.settle()

    def settle(self) -> None:
        """Make every due job available and end every expired one, wherever that is put off."""
        self.ask("promote", 1000)

    # --- choices ---

    def ids(self, count: int) -> list[str]:
        """Some jobs, of late ones more."""
        made, follow = list(self.made), list(self.follow)
        known = self.random.choice(([*made, *follow], [*made[-16:], *follow[-4:]]))
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
        plain = {"kind": PLAIN, "rules": None, "priority": PRIORITIES[0]}
        new = [self.new(queue="mail", **plain) for _ in range(count)]
        self.ask("insert", new)
        self.made |= {job.id: job for job in new}
        self.ask("set_queue", SetQueue("mail", paused=False))
        before = len(self.leases)
        while len(self.leases) < before + count:
            self.claim_with(self.request(count, lines=(Line(("mail",)),), sure=True))
