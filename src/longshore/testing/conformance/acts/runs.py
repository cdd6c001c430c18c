"""Acts of applications and workers: jobs are stored, claimed and reported on."""

from __future__ import annotations

from longshore.core.limits import Rules
from longshore.core.store import Beat, Line, Orders, ProcessBeat
from longshore.testing.conformance.acts.playing import Playing
from longshore.testing.conformance.bench import LEASE, died, parked, succeeded
from longshore.testing.conformance.making import EVERY_KIND, LIMITS, QUEUES


class Runs(Playing):
    """Storing, claiming, finishing."""

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

    def claim(self) -> None:
        self.claim_with(self.request(self.random.choice((1, 2, 5))))

    def claim_again(self) -> None:
        if self.asked:
            self.claim_with(self.asked[self.random.choice(list(self.asked))], again=True)

    def claim_parked(self) -> None:
        self.some_running(1)
        if self.random.random() < 0.5:
            self.tell([parked(self.leases[-1], "d1")])
        digest = self.random.choice(("d1", "d2"))
        self.claim_with(self.request(2, lines=(), kinds=EVERY_KIND, digest=digest))

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
        self.exchange_with(endings, self.request(self.random.choice((1, 3))))

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
