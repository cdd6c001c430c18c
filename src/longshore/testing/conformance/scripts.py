"""Scripts: long random lives, after each step of which every figure equals a recount."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random

import pytest

from longshore.core.limits import TURN, Fair, Hold, Limit, Rules, SetKind, SetLimit, Setting
from longshore.core.model import Ending, JobRecord, JobState, Lease
from longshore.core.store import Filter, Retention, SetQueue
from longshore.testing.conformance.bench import (
    LEASE,
    MINUTE,
    PAYLOAD,
    SECOND,
    Bench,
    cancelled,
    died,
    failed,
    released,
    snoozed,
    succeeded,
)
from longshore.testing.conformance.restraint import count_slots


class ScriptConformance:
    """What holds after whatever was done; each step is also held against the table of states."""

    @pytest.mark.parametrize("seed", range(3))
    def test_figures_equal_a_recount_after_every_operation(self, bench: Bench, seed: int) -> None:
        bench.open(Retention(succeeded=MINUTE, cancelled=MINUTE, dead=None))
        life = Life(bench, Random(seed))  # noqa: S311 - repeatable, not secret
        for _ in range(120):
            life.step()
            recount(bench, bench.seen, life.stored)


class Life:
    """Random operations on one store by three processes."""

    def __init__(self, bench: Bench, random: Random) -> None:
        self.bench = bench
        self.random = random
        self.leases: list[Lease] = []
        self.stored = 0
        self.born = 0
        self.processes = [self.birth() for _ in range(3)]
        self.steps: tuple[Callable[[], None], ...] = (
            *(self.insert, self.claim, self.claim, self.finish, self.finish, self.pass_time),
            *(self.beat, self.rescue, self.cancel, self.retry, self.delete, self.move),
            *(self.pause, self.promote, self.prune, self.exchange, self.insert_ruled),
            *(self.insert_ruled, self.pause_kind, self.set_limit),
        )

    def step(self) -> None:
        self.random.choice(self.steps)()

    def birth(self) -> str:
        self.born += 1
        return self.bench.process(f"process-{self.born}")

    def ids(self) -> list[str]:
        known = sorted(self.bench.seen)
        return self.random.sample(known, min(len(known), 3))

    def insert(self) -> None:
        bench = self.bench
        later = bench.now + self.random.choice((1, 20, 90)) * SECOND
        fields = self.random.choice(
            ({}, {"scheduled_at": later}, {"expires_at": later}, {"keep_result": 0})
        )
        count = self.random.choice((1, 1, 4))
        self.stored += count
        queue = self.random.choice(("a", "b", "c"))
        kind = self.random.choice(("app.x", "app.y"))
        bench.add(count, queue=queue, kind=kind, priority=self.random.randrange(3), **fields)

    def insert_ruled(self) -> None:
        bench, random = self.bench, self.random
        limits = (Limit("account", "7", 1), Limit("account", "8", 2), Limit("mail", "", 3, MINUTE))
        rules = Rules(
            hold=random.choice((None, Hold(random.choice("kl"), ttl=MINUTE))),
            limits=tuple(random.sample(limits, random.choice((0, 1, 1, 2)))),
            fair=random.choice((None, Fair("=a"), Fair("=b", TURN // 2))),
            at_most_once=random.random() < 0.2,
        )
        queue = random.choice(("a", "b"))
        answers = bench.do(
            bench.store.insert([bench.new(rules=rules, queue=queue) for _ in range(3)])
        )
        self.stored += sum(not answer.held for answer in answers)

    def claim(self) -> None:
        index = self.random.randrange(3)
        process = self.processes[index]
        claim = self.bench.claim(process, self.random.choice((1, 3)))
        for job in claim.jobs:
            assert job.payload == PAYLOAD
        if not claim.live:
            self.processes[index] = self.birth()
        self.leases += [Lease(job.id, process, job.run) for job in claim.jobs]

    def ending(self, lease: Lease) -> Ending:
        at = self.bench.now + self.random.choice((0, 5, 60)) * SECOND
        return self.random.choice(
            (
                succeeded(lease, b"1"),
                failed(lease, at),
                snoozed(lease, at),
                released(lease),
                died(lease),
                cancelled(lease),
            )
        )

    def some(self) -> list[Lease]:
        """Leases of any age."""
        return self.random.sample(self.leases, min(len(self.leases), 3))

    def finish(self) -> None:
        self.bench.finish(*map(self.ending, self.some()))

    def exchange(self) -> None:
        process = self.random.choice(self.processes)
        endings = [self.ending(lease) for lease in self.some()]
        request = self.bench.request(process, 2)
        answer = self.bench.do(self.bench.store.exchange(endings, request))
        self.leases += [Lease(job.id, process, job.run) for job in answer.claim.jobs]

    def pass_time(self) -> None:
        self.bench.pass_time(self.random.choice((SECOND, LEASE // 2, 2 * LEASE)) + 1)

    def beat(self) -> None:
        self.bench.beat(*self.processes, oldest=self.random.randrange(4))

    def rescue(self) -> None:
        dead = self.random.choice((None, None, 0))
        if dead is None:
            self.bench.rescue()
            return
        self.bench.rescue(self.processes[dead], self.some())
        self.processes[dead] = self.birth()

    def cancel(self) -> None:
        self.bench.do(self.bench.store.cancel(self.ids(), "stop"))

    def retry(self) -> None:
        self.bench.do(self.bench.store.retry(self.ids()))

    def delete(self) -> None:
        ids = self.ids()[:1]
        self.stored -= len(self.bench.do(self.bench.store.delete(ids)).changed)

    def move(self) -> None:
        self.bench.do(self.bench.store.move(self.ids(), self.random.choice(("a", "b"))))

    def pause(self) -> None:
        paused = self.random.random() < 0.3
        self.bench.do(self.bench.store.set_queue(SetQueue("a", paused=paused)))

    def pause_kind(self) -> None:
        paused = self.random.random() < 0.3
        self.bench.do(self.bench.store.set_kind(SetKind("app.x", paused=paused, pause_for=MINUTE)))

    def set_limit(self) -> None:
        setting = self.random.choice((None, Setting(0), Setting(4)))
        name = self.random.choice(("account", "mail"))
        self.bench.do(self.bench.store.set_limit(SetLimit(name, setting)))

    def promote(self) -> None:
        self.bench.do(self.bench.store.promote(self.random.choice((1, 100))))

    def prune(self) -> None:
        self.stored -= self.bench.do(self.bench.store.prune(self.random.choice((1, 100))))


def recount(bench: Bench, jobs: Mapping[str, JobRecord], stored: int) -> None:
    """Counts, queues and processes against the jobs themselves."""
    assert len(jobs) == stored, "jobs stored = inserted, less those deleted and pruned"
    counted = bench.do(bench.store.count(Filter()))
    assert {(c.queue, c.kind, c.state): c.jobs for c in counted if c.jobs} == Counter(
        (job.queue, job.kind, job.state) for job in jobs.values()
    )
    by_queue = states_by_queue(jobs)
    queues = {queue.name: queue for queue in bench.do(bench.store.queues())}
    for name, states in by_queue.items():
        shown = queues[name]
        assert shown.depth == states[JobState.AVAILABLE]
        assert shown.scheduled == states[JobState.SCHEDULED] + states[JobState.RETRYING]
        assert shown.running == states[JobState.RUNNING]
    for process in bench.do(bench.store.processes()):
        running = [job for job in jobs.values() if job.state is JobState.RUNNING]
        assert process.running == sum(job.claimed_by == process.id for job in running)
    count_slots(bench, jobs)
    for job in jobs.values():
        waits = job.state is JobState.AVAILABLE and job.parked is None
        assert waits or job.blocked_by is None, "only who waits in a line is blocked"
        numbers = [line.run for line in job.runs]
        assert numbers == sorted(set(numbers)), "a run has at most one line"
        assert job.failures + job.interruptions <= job.run


def states_by_queue(jobs: Mapping[str, JobRecord]) -> Mapping[str, Counter[JobState]]:
    """How many live jobs of each state a queue holds."""
    found: dict[str, Counter[JobState]] = {}
    for job in jobs.values():
        if job.finalized_at is None:
            found.setdefault(job.queue, Counter())[job.state] += 1
    return found
