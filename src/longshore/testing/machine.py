"""A state machine that looks for what the suite did not think of.

Hypothesis makes up long lives of a store: three processes claim, end runs with leases of any age,
beat, die and are rescued while people cancel, retry, delete, move and pause and time goes on. Each
request goes to the store and to :class:`longshore.testing.model_store.ModelStore`; answers and all
jobs must agree. When they do not, the shortest life that shows it is printed.

There are four worlds, by the rules that their jobs have (:data:`WORLDS`). Where several queues make
one line, a store may or may not have noticed that the next of a queue is full: jobs with limits
and jobs that take turns are together only where each line is one queue.

Example::

    def test_machine(open_store):
        check_store(open_store)
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    MultipleResults,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from longshore.core.limits import SetKind, SetLimit, Setting
from longshore.core.model import Lease
from longshore.core.store import Beat, ClaimRequest, Line, ProcessBeat, Rescue, SetQueue
from longshore.testing.conformance.bench import CRASH, LEASE, SECOND, Bench, OpenStore
from longshore.testing.machine_late import LateRules
from longshore.testing.machine_notes import NoteRules
from longshore.testing.machine_parts import RETENTION, SLOTS, Parts, agree, plain
from longshore.testing.machine_ticks import TickRules
from longshore.testing.machine_together import TogetherRules
from longshore.testing.worlds import FIELDS, KINDS, LINES, QUEUES, WORLDS

PARKED_KINDS: Final = ("app.job",)
ENDINGS: Final = st.sampled_from(
    (
        *("succeeded", "failed", "failed", "moved", "snoozed", "released", "died", "cancelled"),
        *("parked", "interrupted", "poisoned"),
    )
)


def check_store(
    open_store: OpenStore,
    *,
    examples: int = 100,
    steps: int = 40,
    awaiting: bool = False,
    shrink: bool = True,
    random: bool = True,
) -> None:
    """Let a store live ``examples`` lives of up to ``steps`` operations beside the model.

    With ``shrink`` a life that fails is made short before it is shown, which takes minutes. Lives
    that are not ``random`` are the same in every run.

    Raises:
        AssertionError: an answer or a job differs from the model's; Hypothesis prints the life.
    """
    for lived_in in WORLDS:

        class Machine(StoreMachine):
            world = lived_in

            def open(self) -> Bench:
                return Bench(open_store, awaiting=awaiting).open(RETENTION)

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=-(-examples // len(WORLDS)),
                stateful_step_count=steps,
                deadline=None,
                derandomize=not random,
                print_blob=True,
                report_multiple_bugs=False,
                # A life is long and its jobs are many: that is no fault of the store.
                suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
                phases=[phase for phase in Phase if shrink or phase is not Phase.shrink],
            ),
        )


class StoreMachine(TogetherRules, TickRules, NoteRules, LateRules):
    """One life of a store and of the model beside it."""

    jobs, leases = Parts.jobs, Parts.leases

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

    @rule(
        target=leases,
        slot=SLOTS,
        wanted=st.integers(1, 4),
        lines=LINES,
        free=st.sampled_from((9, 9, 1, 0)),
    )
    def claim(
        self, slot: int, wanted: int, lines: tuple[Line, ...], free: int
    ) -> MultipleResults[Lease]:
        return self.claim_with(self.request(slot, wanted, lines, free))

    @rule(target=leases, slot=SLOTS)
    def repeat_the_claim(self, slot: int) -> MultipleResults[Lease]:
        lines = self.lines[slot]
        request = ClaimRequest(self.processes[slot], self.claims[slot], 1, lines, free=0)
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
        self.report(endings)

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
        agree(orders.processes, expected.processes)
        self.compare()

    # --- time, death and maintenance ---

    @rule(seconds=st.sampled_from((1, 2, 4, 16, 50)))
    def pass_time(self, seconds: int) -> None:
        self.go_on(seconds * SECOND)

    @rule(slot=SLOTS)
    def crash(self, slot: int) -> None:
        """Nobody saw it: the lease runs out some time; another takes the slot."""
        self.birth(slot)

    @rule(slot=SLOTS, started=st.lists(leases, max_size=3), ended=st.integers(0, 2))
    def child_dies(self, slot: int, started: list[Lease], ended: int) -> None:
        seen = [(lease.job_id, lease.run) for lease in started]
        over = frozenset(seen[:ended])
        self.rescue_with(Rescue(self.processes[slot], frozenset(seen), crash=CRASH, over=over))
        self.birth(slot)

    @rule(what=st.sampled_from(("rescue", "promote", "prune", "elect")), slot=SLOTS)
    def maintain(self, what: str, slot: int) -> None:
        store, model, process = self.bench.store, self.model, self.processes[slot]
        match what:
            case "rescue":
                self.rescue_with(Rescue(patience=LEASE // 3))
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

    @rule(
        kind=st.sampled_from(KINDS),
        paused=st.booleans(),
        wait=st.sampled_from((10 * SECOND + 3, None)),
    )
    def pause_kind(self, kind: str, *, paused: bool, wait: int | None) -> None:
        if not self.world.limits:
            return
        request = SetKind(kind, paused=paused, pause_for=wait)
        self.bench.do(self.bench.store.set_kind(request))
        self.model.set_kind(request)
        self.model.restraints.now = self.model.now
        shown = [record.kind for record in self.bench.do(self.bench.store.kinds())]
        agree(shown, [kind for kind in KINDS if self.model.restraints.paused(kind)])

    @rule(
        name=st.sampled_from(("account", "mail")),
        setting=st.sampled_from((None, Setting(0), Setting(1), Setting(3))),
    )
    def set_limit(self, name: str, setting: Setting | None) -> None:
        if not self.world.limits:
            return
        request = SetLimit(name, setting)
        self.bench.do(self.bench.store.set_limit(request))
        self.model.set_limit(request)
        self.compare()
