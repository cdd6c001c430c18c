"""A state machine that looks for what the suite did not think of.

Hypothesis makes up long lives of a store: three processes claim, end runs with leases of any age,
beat, die and are rescued while people cancel, retry, delete, move and pause and time goes on. Each
request goes to the store and to :class:`longshore.testing.model_store.ModelStore`; answers and all
jobs must agree. When they do not, the shortest life that shows it is printed.

Example::

    def test_machine(open_store):
        check_store(open_store)
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from longshore.core.model import Claimed, Ending, JobRecord, JobState, Lease, Patch, Progress
from longshore.core.store import (
    Beat,
    ClaimRequest,
    Line,
    NewProcess,
    ProcessBeat,
    Rescue,
    Retention,
    SetQueue,
)
from longshore.testing.conformance.bench import (
    LEASE,
    SECOND,
    Bench,
    OpenStore,
    cancelled,
    died,
    failed,
    parked,
    released,
    snoozed,
    succeeded,
)
from longshore.testing.conformance.scripts import recount
from longshore.testing.model_store import ModelJob, ModelStore

#: Odd microseconds: no step of time ends exactly where a retention or an expiry does.
RETENTION: Final = Retention(succeeded=20 * SECOND + 3, cancelled=0, dead=None)

QUEUES: Final = ("a", "b")
SLOTS: Final = st.integers(0, 2)
LINES: Final = st.sampled_from(
    (
        (Line(("*",)),),
        (Line(("b",)), Line(("a",))),
        (Line(("a*",)),),
        (Line(("*",), excludes=("a",)),),
    )
)
PARKED_KINDS: Final = ("app.job",)
ENDINGS: Final = st.sampled_from(
    ("succeeded", "failed", "failed", "moved", "snoozed", "released", "died", "cancelled", "parked")
)
FIELDS: Final = st.fixed_dictionaries(
    {"queue": st.sampled_from(QUEUES), "priority": st.integers(0, 1)},
    optional={
        "delay": st.sampled_from((1, 7, 40)),
        "expires": st.sampled_from((5, 25)),
        "keep_result": st.sampled_from((0, 40 * SECOND + 3, None)),
    },
)


def check_store(
    open_store: OpenStore, *, examples: int = 100, steps: int = 40, awaiting: bool = False
) -> None:
    """Let a store live ``examples`` lives of up to ``steps`` operations beside the model.

    Raises:
        AssertionError: an answer or a job differs from the model's; Hypothesis prints the life.
    """

    class Machine(StoreMachine):
        def open(self) -> Bench:
            return Bench(open_store, awaiting=awaiting).open(RETENTION)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            report_multiple_bugs=False,
            # A life is long and its jobs are many: that is no fault of the store.
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
        ),
    )


class StoreMachine(RuleBasedStateMachine):
    """One life of a store and of the model beside it."""

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
        for slot in range(3):
            self.birth(slot)

    def open(self) -> Bench:
        """A new bench; :func:`check_store` gives the store."""
        raise NotImplementedError

    def teardown(self) -> None:
        self.bench.close()

    # --- producing and consuming ---

    # Every life begins with some jobs and a lease: a rule that draws from nothing ends the life.
    @initialize(target=jobs, some=st.lists(FIELDS, min_size=3, max_size=8))
    def first_jobs(self, some: list[dict[str, Any]]) -> MultipleResults[str]:
        return multiple(*(job_id for fields in some for job_id in self.insert(1, fields)))

    @initialize(target=leases)
    def first_lease(self) -> MultipleResults[Lease]:
        self.insert(1, {"queue": "a", "priority": 0})
        return self.claim_with(self.request(0, 1, (Line(("a",)),)))

    @rule(target=jobs, count=st.sampled_from((1, 1, 3)), fields=FIELDS)
    def enqueue(self, count: int, fields: dict[str, Any]) -> MultipleResults[str]:
        return multiple(*self.insert(count, fields))

    @rule(target=leases, slot=SLOTS, wanted=st.integers(1, 3), lines=LINES)
    def claim(self, slot: int, wanted: int, lines: tuple[Line, ...]) -> MultipleResults[Lease]:
        return self.claim_with(self.request(slot, wanted, lines))

    @rule(target=leases, slot=SLOTS)
    def repeat_the_claim(self, slot: int) -> MultipleResults[Lease]:
        request = ClaimRequest(self.processes[slot], self.claims[slot], 1, self.lines[slot])
        return self.claim_with(request, repeated=True)

    @rule(target=leases, slot=SLOTS, digest=st.sampled_from(("d1", "d2")))
    def claim_parked(self, slot: int, digest: str) -> MultipleResults[Lease]:
        self.claims[slot] += 1
        return self.claim_with(
            ClaimRequest(
                self.processes[slot], self.claims[slot], 2, (), PARKED_KINDS, kinds_digest=digest
            )
        )

    @rule(told=st.lists(st.tuples(leases, ENDINGS), min_size=1, max_size=4))
    def finish(self, told: list[tuple[Lease, str]]) -> None:
        endings = [self.ending(lease, how) for lease, how in told]
        held = self.bench.do(self.bench.store.finish(endings))
        agree(held - self.model.vague, self.model.finish(endings) - self.model.vague)
        self.compare()

    @rule(
        target=leases,
        told=st.lists(st.tuples(leases, ENDINGS), max_size=3),
        slot=SLOTS,
        wanted=st.integers(1, 3),
    )
    def exchange(
        self, told: list[tuple[Lease, str]], slot: int, wanted: int
    ) -> MultipleResults[Lease]:
        endings = [self.ending(lease, how) for lease, how in told]
        request = self.request(slot, wanted, (Line(("*",)),))
        answer = self.bench.do(self.bench.store.exchange(endings, request))
        expected = self.model.exchange(endings, request)
        agree(answer.held - self.model.vague, expected.held - self.model.vague)
        agree(answer.claim.live, expected.claim.live)
        agree(plain(answer.claim.jobs), plain(expected.claim.jobs))
        self.compare()
        if not answer.claim.live:
            self.birth(slot)
        return multiple(*(Lease(job.id, request.process_id, job.run) for job in answer.claim.jobs))

    @rule(lease=leases, done=st.integers(0, 9))
    def save(self, lease: Lease, done: int) -> None:
        patches = [Patch(lease, Progress(float(done)))]
        held = self.bench.do(self.bench.store.save(patches))
        agree(held, self.model.save(patches))
        if held:
            agree(self.bench.job(lease.job_id).progress, patches[0].progress)
        self.compare()

    @rule(slots=st.sets(SLOTS, min_size=1), renews=st.booleans(), open_claims=st.integers(0, 2))
    def beat(self, slots: set[int], *, renews: bool, open_claims: int) -> None:
        told = tuple(
            ProcessBeat(self.processes[slot], max(0, self.claims[slot] + 1 - open_claims))
            for slot in sorted(slots)
        )
        beat = Beat(told, LEASE if renews else None)
        orders, expected = self.bench.do(self.bench.store.beat(beat)), self.model.beat(beat)
        agree(orders.lost, expected.lost)
        agree(set(orders.cancels), set(expected.cancels))
        agree(orders.parked_kinds, expected.parked_kinds)
        self.compare()

    # --- time, death and maintenance ---

    @rule(seconds=st.sampled_from((1, 2, 4, 16, 50)))
    def pass_time(self, seconds: int) -> None:
        self.bench.pass_time(seconds * SECOND)
        self.model.now = self.bench.now
        self.compare()

    @rule(slot=SLOTS)
    def crash(self, slot: int) -> None:
        """Nobody saw it: the lease runs out some time; another takes the slot."""
        self.birth(slot)

    @rule(slot=SLOTS, started=st.lists(leases, max_size=3))
    def child_dies(self, slot: int, started: list[Lease]) -> None:
        seen = frozenset((lease.job_id, lease.run) for lease in started)
        self.rescue_with(Rescue(self.processes[slot], seen))
        self.birth(slot)

    @rule(what=st.sampled_from(("rescue", "promote", "prune", "elect")), slot=SLOTS)
    def maintain(self, what: str, slot: int) -> None:
        store, model, process = self.bench.store, self.model, self.processes[slot]
        match what:
            case "rescue":
                self.rescue_with(Rescue())
            case "promote":
                promoted = self.bench.do(store.promote(1000))
                if not model.promote():
                    agree(promoted, 0)
            case "prune":
                agree(self.bench.do(store.prune(1000)), model.prune())
            case _:
                agree(self.bench.do(store.elect(process, LEASE)), model.elect(process, LEASE))
        self.compare()

    # --- people ---

    @rule(
        verb=st.sampled_from(("cancel", "retry", "delete", "move")),
        some=st.lists(jobs, min_size=1, max_size=3),
        queue=st.sampled_from(QUEUES),
    )
    def order(self, verb: str, some: list[str], queue: str) -> None:
        store, model, ids = self.bench.store, self.model, list(dict.fromkeys(some))
        match verb:
            case "cancel":
                agree(self.bench.do(store.cancel(ids, "stop")), model.cancel(ids, "stop"))
            case "retry":
                agree(self.bench.do(store.retry(ids)), model.retry(ids))
            case "delete":
                agree(self.bench.do(store.delete(ids[:1])), model.delete(ids[:1]))
            case _:
                agree(self.bench.do(store.move(ids, queue)), model.move(ids, queue))
        self.compare()

    @rule(
        queue=st.sampled_from(QUEUES),
        paused=st.booleans(),
        wait=st.sampled_from((10 * SECOND + 3, None)),
    )
    def pause(self, queue: str, *, paused: bool, wait: int | None) -> None:
        request = SetQueue(queue, paused=paused, pause_for=wait)
        self.bench.do(self.bench.store.set_queue(request))
        self.model.set_queue(request)
        shown = {
            record.name for record in self.bench.do(self.bench.store.queues()) if record.paused
        }
        agree(shown, {queue for queue in QUEUES if self.model.is_paused(queue)})

    # --- parts ---

    def birth(self, slot: int) -> None:
        self.born += 1
        self.claims[slot] = 0
        self.processes[slot] = name = f"process-{self.born}"
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

    def insert(self, count: int, fields: dict[str, Any]) -> list[str]:
        given = dict(fields)
        if "delay" in given:
            given["scheduled_at"] = self.bench.now + given.pop("delay") * SECOND
        if "expires" in given:
            given["expires_at"] = self.bench.now + given.pop("expires") * SECOND + 3
        new = [self.bench.new(**given) for _ in range(count)]
        answers = self.bench.do(self.bench.store.insert(new))
        agree(tuple(answers), self.model.insert(new))
        self.compare()
        return [job.id for job in new]

    def request(self, slot: int, wanted: int, lines: tuple[Line, ...]) -> ClaimRequest:
        self.claims[slot] += 1
        self.lines[slot] = lines
        return ClaimRequest(self.processes[slot], self.claims[slot], wanted, lines)

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
        if len(claim.jobs) < request.wanted and not (unsure or request.parked_kinds):
            agree(claim.due_in, expected.due_in)
        self.compare()
        if not claim.live:  # another child takes its slot
            self.birth(self.processes.index(request.process_id))
        return multiple(*(Lease(job.id, request.process_id, job.run) for job in claim.jobs))

    def rescue_with(self, request: Rescue) -> None:
        rescued = self.bench.do(self.bench.store.rescue(request))
        expected = self.model.rescue(request)
        agree(
            dict(zip(rescued.leases, rescued.interrupted, strict=True)),
            dict(zip(expected.leases, expected.interrupted, strict=True)),
        )
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
        }
        return made[how]

    def compare(self) -> None:
        """Every stored job against the model's, and every figure against the jobs."""
        records = self.bench.seen
        self.model.follow(records)
        agree(records.keys(), self.model.jobs.keys())
        for job_id, record in records.items():
            agree(compared(record), compared(self.model.jobs[job_id]))
        recount(self.bench, records, len(self.model.jobs))


def agree(answer: object, expected: object) -> None:
    """Fail where the store and the model differ."""
    assert answer == expected, f"the store has {answer!r}, the model {expected!r}"


def compared(record: JobRecord | ModelJob) -> dict[str, object]:
    """What is compared of a job, stored or in the model."""
    running = record.state is JobState.RUNNING
    names = (
        *("state", "queue", "priority", "scheduled_at", "run", "failures", "interruptions"),
        *("attempted_at", "finalized_at", "parked", "result", "result_error"),
    )
    return {
        **{name: getattr(record, name) for name in names},
        "claimed": (record.claimed_by, record.claimed_at, record.cancel_requested) * running,
        "reason": record.reason if record.finalized_at else None,
        "runs": [(line.run, line.process, line.why) for line in record.runs],
    }


def plain(jobs: tuple[Claimed, ...]) -> list[Claimed]:
    """Claimed jobs without what the model does not keep."""
    return [msgspec.structs.replace(job, meta=None) for job in jobs]
