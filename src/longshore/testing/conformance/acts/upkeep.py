"""Acts of time and maintenance: clocks go on, processes die, what is over is pruned."""

from __future__ import annotations

from longshore.core.store import (
    Beat,
    Line,
    ProcessBeat,
    Rescue,
    Rescued,
    SetQueue,
)
from longshore.testing.conformance.acts.playing import Playing
from longshore.testing.conformance.bench import CRASH, LEASE, MINUTE, SECOND, succeeded
from longshore.testing.conformance.lockstep import Stage
from longshore.testing.conformance.making import PLAIN

PATIENCE = LEASE // 3
MANY = 20


class Upkeep(Playing):
    """Waiting, dying, tidying up."""

    def pass_time(self) -> None:
        self.advance(self.random.choice((1, 2, 4, 8, 17, 31)) * SECOND)

    def elect(self) -> None:
        if self.ask("elect", self.random.choice(self.slots), 10 * SECOND):
            self.met["elected"] += 1

    def promote(self) -> None:
        self.ask("promote", 1000)

    def rescue(self) -> None:
        self.some_running(1)
        if self.random.random() < 0.7:
            self.advance(LEASE + 1)
        self.rescue_with(Rescue())

    def rescue_dead(self) -> None:
        self.some_running(1)
        slot = self.slots.index(self.leases[-1].process_id)
        started = [(lease.job_id, lease.run) for lease in self.some()]
        over = frozenset(started[::2])
        self.rescue_with(Rescue(self.slots[slot], frozenset(started), crash=CRASH, over=over))
        self.birth(slot)

    def rescue_many(self) -> None:
        """Everybody seems dead: at the first look nothing is given back."""
        new = [self.new(queue="mail", kind=PLAIN, rules=None) for _ in range(3 * MANY)]
        self.insert_new(new)
        self.ask("set_queue", SetQueue("mail", paused=False))
        for size in (MANY, MANY, 5):
            self.claim_with(self.request(size, lines=(Line(("mail",)),), sure=True))
        self.advance(LEASE + 1)
        self.rescue_with(Rescue(patience=PATIENCE))
        self.rescue_with(Rescue(patience=PATIENCE))
        self.ask("beat", Beat((ProcessBeat(self.leases[-1].process_id, 0),), LEASE))
        self.advance(PATIENCE)
        self.rescue_with(Rescue(patience=PATIENCE))

    def rescue_with(self, request: Rescue) -> None:
        rescued: Rescued = self.ask("rescue", request)
        self.met["withheld"] += rescued.withheld
        self.met["rescued"] += len(rescued.leases)
        self.met["interrupted"] += sum(rescued.interrupted)

    def prune(self) -> None:
        if self.random.random() < 0.4:
            self.some_running(2)
            self.tell([succeeded(lease, b"old") for lease in self.leases[-2:]])
            self.advance(MINUTE)
        self.settle()
        # To the end: which of two that are past their time goes first, the seam does not say, nor
        # how many a bounded call looks at that it may not delete.
        self.met["pruned"] += self.drain(self.random.choice((3, 1000)))

    def drain(self, limit: int) -> int:
        """Prune in each store as often as it takes, and compare what has gone in all."""
        gone = [sum(self.pruned(stage, size) for size in (limit, 1000)) for stage in self.stages]
        self.compare("prune", limit, gone)
        return gone[0]

    def pruned(self, stage: Stage, limit: int) -> int:
        """Prune until nothing goes any more."""
        total = 0
        while gone := stage.do(stage.store.prune(limit)):
            assert gone <= limit
            total += gone
        return total
