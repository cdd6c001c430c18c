"""What the rules of the state machine share: one store, the model, and how they are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, multiple

from longshore.core.batches import Together
from longshore.core.limits import Fair, Rules
from longshore.core.model import Claimed, Ending, Inserted, JobRecord, JobState, Lease, NewJob
from longshore.core.store import ClaimRequest, Line, NewProcess, Rescue, Retention
from longshore.testing.conformance.bench import (
    LEASE,
    SECOND,
    Bench,
    cancelled,
    died,
    failed,
    interrupted,
    parked,
    poisoned,
    released,
    snoozed,
    succeeded,
)
from longshore.testing.conformance.restraint import limits
from longshore.testing.conformance.scripts import recount
from longshore.testing.model_job import ModelJob, serves
from longshore.testing.model_store import ModelStore
from longshore.testing.worlds import QUEUES, WORLDS, World

#: Odd microseconds: no step of time ends exactly where a retention or an expiry does.
RETENTION: Final = Retention(succeeded=20 * SECOND + 3, cancelled=0, dead=None)

SLOTS: Final = st.integers(0, 2)


class Parts(RuleBasedStateMachine):
    """One life of a store and of the model beside it."""

    world: ClassVar[World] = WORLDS[0]
    leases: Bundle[Lease] = Bundle("leases")
    jobs: Bundle[str] = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.bench = self.open()
        self.model = ModelStore(RETENTION, self.bench.now)
        self.born = 0
        self.claims = [0, 0, 0]
        self.lines: list[tuple[Line, ...]] = [(Line(("*",)),)] * 3
        self.processes = ["", "", ""]
        #: What was said before, to be said again: a reply may be lost, a request be late.
        self.names: list[str] = []
        self.inserted: list[list[NewJob]] = []
        self.rescued: list[Rescue] = []
        for slot in range(3):
            self.birth(slot)

    def open(self) -> Bench:
        """A new bench; :func:`check_store` gives the store."""
        raise NotImplementedError

    def teardown(self) -> None:
        self.bench.close()

    def birth(self, slot: int) -> None:
        self.born += 1
        self.claims[slot] = 0
        self.processes[slot] = name = f"process-{self.born}"
        self.names.append(name)
        process = NewProcess(
            id=name,
            app="app",
            name=name,
            host="host",
            pid=1,
            lease=LEASE,
            queues=("*",),
            kinds=("app.job",),
            slots=3,
            embedded=False,
        )
        self.bench.do(self.bench.store.register(process))
        self.model.register(process)

    def go_on(self, duration: int) -> None:
        """Let time pass, in microseconds."""
        self.bench.pass_time(duration)
        self.model.now = self.bench.now
        ruled = self.world.rules or self.model.bundles.seen
        if ruled and any(map(self.model.expired, self.model.jobs.values())):
            # Whether one that has expired still holds its key and its turn: settled at once here.
            self.bench.do(self.bench.store.promote(1000))
            self.model.promote()
        self.compare()

    def insert(self, count: int, fields: dict[str, Any]) -> list[str]:
        new = [self.made(fields) for _ in range(count)]
        if self.store(new):
            self.inserted.append(new)
        return [job.id for job in new]

    def made(self, fields: dict[str, Any]) -> NewJob:
        """A job not yet stored."""
        given = dict(fields)
        if "delay" in given:
            given["scheduled_at"] = self.bench.now + given.pop("delay") * SECOND
        if "expires" in given:
            given["expires_at"] = self.bench.now + given.pop("expires") * SECOND + 3
        given["rules"] = self.ruled(given.get("rules", {}))
        job = self.bench.new(**given)
        payload = b'{"v":1,"args":[%d,"%b"]}' % (self.bench.now, job.id[-4:].encode())
        return msgspec.structs.replace(job, payload=payload)

    def store(self, new: Sequence[NewJob], together: Together | None = None) -> bool:
        """Store jobs in both; whether that was not refused."""
        answers: Sequence[Inserted] = self.bench.do(self.bench.store.insert(new, together))
        expected = self.model.insert(new, together)
        refused = [answer for answer in expected if answer.conflict]
        if refused:  # what else is said then, nobody reads
            agree([answer for answer in answers if answer.conflict], refused)
        else:
            agree(tuple(answers), expected)
        self.compare()
        return not refused

    def ruled(self, drawn: dict[str, Any]) -> Rules | None:
        """Of these rules those that the world has."""
        given = {name: rule for name, rule in drawn.items() if name in self.world.rules}
        if self.world.all_fair:
            given.setdefault("fair", Fair("=x"))
        return Rules(**given) if given else None

    def request(
        self, slot: int, wanted: int, lines: tuple[Line, ...], free: int = 9
    ) -> ClaimRequest:
        if self.world.single:
            queues = [queue for queue in QUEUES if any(serves(line, queue) for line in lines)]
            lines = tuple(Line((queue,)) for queue in queues)
        self.claims[slot] += 1
        self.lines[slot] = lines
        return ClaimRequest(self.processes[slot], self.claims[slot], wanted, lines, free=free)

    def claim_with(
        self, request: ClaimRequest, *, repeated: bool = False
    ) -> MultipleResults[Lease]:
        claim = self.bench.do(self.bench.store.claim(request))
        unsure = any(self.model.expired(job) for job in self.model.jobs.values())
        expected = self.model.claim(request)
        agree(claim.live, expected.live)
        answered, awaited = plain(claim.jobs), plain(expected.jobs)
        if repeated:  # the same jobs: the seam does not say in which order
            answered.sort(key=lambda job: job.id)
            awaited.sort(key=lambda job: job.id)
        agree(answered, awaited)
        short = claim.live and len(claim.jobs) < request.wanted
        if short and not (unsure or request.parked_kinds):
            least, most = self.model.due_in(request)
            told = float("inf") if claim.due_in is None else claim.due_in
            assert least <= told <= most, f"due in {told}, not {least} to {most}"
        self.compare()
        if not claim.live:  # another child takes its slot
            self.birth(self.processes.index(request.process_id))
        return multiple(*(Lease(job.id, request.process_id, job.run) for job in claim.jobs))

    def report(self, endings: list[Ending]) -> None:
        held = self.bench.do(self.bench.store.finish(endings))
        agree(held - self.model.vague, self.model.finish(endings) - self.model.vague)
        self.compare()

    def rescue_with(self, request: Rescue) -> None:
        if request.dead is not None:
            self.rescued.append(request)
        rescued = self.bench.do(self.bench.store.rescue(request))
        expected = self.model.rescue(request)
        agree(
            dict(zip(rescued.leases, rescued.interrupted, strict=True)),
            dict(zip(expected.leases, expected.interrupted, strict=True)),
        )
        agree(rescued.withheld, expected.withheld)
        self.compare()

    def ending(self, lease: Lease, how: str) -> Ending:
        now = self.bench.now
        later = now + 5 * SECOND
        made = {
            "succeeded": succeeded(lease, b'{"run":%d}' % lease.run),
            "failed": failed(lease, later, budgets=b'{"net":%d}' % lease.run),
            "moved": failed(lease, now, queue="b", priority=lease.run % 2),
            "snoozed": snoozed(lease, later),
            "released": released(lease),
            "died": died(lease),
            "cancelled": cancelled(lease),
            "parked": parked(lease, "d1"),
            "interrupted": interrupted(lease),
            "poisoned": poisoned(lease),
        }
        return made[how]

    def compare(self) -> None:
        """Every stored job against the model's, and every figure against the jobs."""
        records = self.bench.seen
        self.model.follow(records)
        agree(records.keys(), self.model.jobs.keys())
        for job_id, record in records.items():
            agree(compared(record), compared(self.model.jobs[job_id]))
        self.compare_beside(records)
        recount(self.bench, records, len(self.model.jobs))
        shown, in_use = limits(self.bench), self.model.in_use()
        # Who reads of the starts of jobs that are gone may read of their limits too, or not.
        agree({key: shown[key].used if key in shown else 0 for key in in_use}, in_use)

    def compare_beside(self, records: Mapping[str, JobRecord]) -> None:
        """What lies beside the jobs: steps, bundles, schedules."""
        steps = self.bench.do(self.bench.store.steps(list(records)))
        noted = {job_id: dict(job.steps) for job_id, job in self.model.jobs.items() if job.steps}
        agree({job_id: {one.name: one for one in some} for job_id, some in steps.items()}, noted)
        if self.model.bundles.seen:
            bundles = self.bench.do(self.bench.store.bundles(limit=1000))
            agree({one.id: one for one in bundles}, self.model.bundles.shown())
        if self.model.schedules.seen:
            records_of = self.bench.do(self.bench.store.schedules())
            agree(records_of, self.model.schedules.shown(self.bench.now))


def agree(answer: object, expected: object) -> None:
    """Fail where the store and the model differ."""
    assert answer == expected, f"the store has {answer!r}, the model {expected!r}"


def compared(record: JobRecord | ModelJob) -> dict[str, object]:
    """What is compared of a job, stored or in the model."""
    running = record.state is JobState.RUNNING
    names = (
        *("state", "queue", "priority", "scheduled_at", "run", "failures", "interruptions"),
        *("attempted_at", "finalized_at", "parked", "result", "result_error"),
        *("payload", "rules", "identity"),
    )
    return {
        **{name: getattr(record, name) for name in names},
        "claimed": (record.claimed_by, record.claimed_at, record.cancel_requested) * running,
        "reason": record.reason if record.finalized_at else None,
        "runs": [(line.run, line.process, line.why) for line in record.runs],
    }


def plain(jobs: Sequence[Claimed]) -> list[Claimed]:
    """Claimed jobs without what the model does not keep."""
    return [msgspec.structs.replace(job, meta=None) for job in jobs]
