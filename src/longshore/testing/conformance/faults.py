"""Faults: an operation that fails at a statement has done nothing, and may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import pytest

from longshore.core.model import RUN_LINES, LogLine, Patch, Progress, Step
from longshore.core.store import (
    Beat,
    Claim,
    Exchanged,
    Filter,
    NewProcess,
    Operation,
    ProcessBeat,
    Rescue,
    Rescued,
    Retention,
    SetQueue,
)
from longshore.errors import LongshoreError
from longshore.testing.conformance.bench import (
    DAY,
    HOUR,
    LEASE,
    MINUTE,
    SECOND,
    Bench,
    cancelled,
    failed,
    one_of_each,
    parked,
    released,
    succeeded,
)
from longshore.testing.conformance.planned import PLANNED, PLANNED_AGAIN
from longshore.testing.conformance.ruled import RULED, RULED_AGAIN


class Stumbled(Exception):
    """What a statement raises that was told to fail."""


class Stumble:
    """A hook before the statements of one operation: notes them, raises at the one it is told."""

    def __init__(self) -> None:
        self.operation = ""
        self.steps = 0
        self.fail_at: int | None = None

    def __call__(self, operation: str, number: int) -> None:
        if operation != self.operation:
            return
        self.steps += 1
        if self.steps == self.fail_at:
            raise Stumbled(f"{operation} at its step {number}")

    def expect(self, op: Operation[Any], fail_at: int | None = None) -> None:
        """Count the statements of this operation from now on."""
        self.operation, self.steps, self.fail_at = op.name, 0, fail_at


Prepare = Callable[[Bench], Operation[Any]]


def insert(bench: Bench) -> Operation[Any]:
    (known,) = bench.add()
    record = bench.job(known)
    again = bench.new(id=known, created_at=record.created_at)
    return bench.store.insert([again, *(bench.new() for _ in range(3))])


def register(bench: Bench) -> Operation[Any]:
    process = NewProcess(
        id="p9",
        app="app",
        name="p9",
        host="host",
        pid=9,
        lease=LEASE,
        queues=("*",),
        kinds=("app.job",),
        slots=1,
        embedded=False,
    )
    return bench.store.register(process)


def claim(bench: Bench) -> Operation[Any]:
    _busy(bench)
    bench.add(3)
    bench.add(scheduled_at=bench.now + SECOND)
    bench.pass_time(2 * SECOND)
    return bench.store.claim(bench.request("p1", 3))


def claim_parked(bench: Bench) -> Operation[Any]:
    bench.process()
    bench.add(2, kind="app.new")
    bench.finish(*(parked(lease, "d1") for lease in bench.leases()))
    return bench.store.claim(bench.request("p1", parked_kinds=("app.new",), kinds_digest="d2"))


def finish(bench: Bench) -> Operation[Any]:
    return bench.store.finish(_endings(bench))


def exchange(bench: Bench) -> Operation[Any]:
    endings = _endings(bench)
    # Ahead of what the endings give back: whose next run this claim would begin.
    bench.add(3, priority=-1)
    return bench.store.exchange(endings, bench.request("p1", 2))


def save(bench: Bench) -> Operation[Any]:
    bench.process()
    bench.add(2)
    one, two = bench.leases()
    line = LogLine(RUN_LINES + 1, bench.now, "info", "said")
    noted = Patch(one, Progress(1.0, 2.0), (Step("a", b"1", bench.now, 1),), (line,))
    return bench.store.save([noted, Patch(two, Progress(1.0, 2.0))])


def expect(bench: Bench) -> Operation[Any]:
    return bench.store.expect(bench.add(2, keep_result=0), MINUTE)


def beat(bench: Bench) -> Operation[Any]:
    _busy(bench)
    lost, open_ = bench.add(2)
    bench.claim("p1", 1, claim_id=100)
    bench.claim("p1", 1, claim_id=101)
    bench.do(bench.store.cancel([open_], "stop"))
    bench.pass_time(SECOND)
    assert bench.job(lost).claimed_by == "p1"
    return bench.store.beat(Beat((ProcessBeat("p1", 101), ProcessBeat("p8", 0)), LEASE))


def elect(bench: Bench) -> Operation[Any]:
    for process in ("p1", "p2"):
        bench.process(process, lease=HOUR)
    bench.do(bench.store.elect("p1", SECOND))
    bench.pass_time(MINUTE)
    return bench.store.elect("p2", LEASE)


def promote(bench: Bench) -> Operation[Any]:
    bench.add(2, scheduled_at=bench.now + SECOND)
    bench.add(2, expires_at=bench.now + SECOND)
    bench.pass_time(MINUTE)
    return bench.store.promote(100)


def rescue(bench: Bench) -> Operation[Any]:
    _busy(bench)
    bench.pass_time(LEASE + 1)
    return bench.store.rescue(Rescue())


def rescue_dead(bench: Bench) -> Operation[Any]:
    jobs = _busy(bench)
    bench.do(bench.store.cancel(jobs[:1], "stop"))
    return bench.store.rescue(Rescue("p1", frozenset({(jobs[1], 1)})))


def prune(bench: Bench) -> Operation[Any]:
    one_of_each(bench)
    bench.pass_time(365 * DAY)
    return bench.store.prune(100)


def cancel(bench: Bench) -> Operation[Any]:
    return bench.store.cancel(list(one_of_each(bench).values()), "stop")


def retry(bench: Bench) -> Operation[Any]:
    return bench.store.retry(list(one_of_each(bench).values()))


def delete(bench: Bench) -> Operation[Any]:
    return bench.store.delete(list(one_of_each(bench).values()))


def move(bench: Bench) -> Operation[Any]:
    return bench.store.move(list(one_of_each(bench).values()), "far")


def set_queue(bench: Bench) -> Operation[Any]:
    bench.add()
    return bench.store.set_queue(SetQueue("default", paused=True, reason="x", pause_for=MINUTE))


WRITES: Final[Mapping[str, Prepare]] = {
    **{
        prepare.__name__: prepare
        for prepare in (
            insert,
            register,
            claim,
            claim_parked,
            finish,
            exchange,
            save,
            expect,
            beat,
            elect,
            promote,
            rescue,
            rescue_dead,
            prune,
            cancel,
            retry,
            delete,
            move,
            set_queue,
        )
    },
    **RULED,
    **PLANNED,
}


class FaultConformance:
    """Every operation that writes, failing at each statement in turn, and repeated."""

    @pytest.mark.parametrize("name", WRITES)
    def test_an_operation_that_fails_has_done_nothing_and_may_be_repeated(
        self, bench: Bench, name: str
    ) -> None:
        stumble = Stumble()
        op, untouched = start(bench, name, stumble)
        stumble.expect(op)
        answer = comparable(bench.do(op))
        assert stumble.steps, f"the store did not call on_statement in {name}"
        steps, done = stumble.steps, view(bench)
        # What one of the steps leaves is there after the last one as well: then is early enough to
        # look. Where the last one comes sooner than the first time, each of them is looked at.
        if not fails(bench, name, stumble, untouched, answer, look_from=steps):
            assert fails(bench, name, stumble, untouched, answer, look_from=1)
        assert view(bench) == done

    @pytest.mark.parametrize("name", WRITES)
    def test_a_request_repeated_after_a_lost_reply_has_no_further_effect(
        self, bench: Bench, name: str
    ) -> None:
        op, _ = start(bench, name, None)
        answer = comparable(bench.do(op))
        done = view(bench, marks=False)
        again = comparable(bench.do(op))
        assert view(bench, marks=False) == done
        if name in ANSWERED_AGAIN:
            assert again == answer

    def test_a_lost_reply_to_an_insert_is_answered_with_duplicates(self, bench: Bench) -> None:
        op = bench.store.insert([bench.new(), bench.new()])
        first = bench.do(op)
        again = bench.do(op)
        assert [answer.id for answer in again] == [answer.id for answer in first]
        assert all(answer.duplicate and not answer.conflict for answer in again)


def fails(
    bench: Bench,
    name: str,
    stumble: Stumble,
    untouched: tuple[object, ...],
    answer: object,
    *,
    look_from: int,
) -> bool:
    """Carry out an operation that fails at its first step, at its second, until none is left.

    Looks at the store after each failure from the step ``look_from`` on; returns whether the last
    failure was looked at.
    """
    op, before = start(bench, name, stumble)
    assert before == untouched, "the test repeats itself exactly"
    step, seen, failing = 0, 0, True
    while failing:
        step += 1
        stumble.expect(op, fail_at=step)
        try:
            assert comparable(bench.do(op)) == answer
            failing = False
        except (Stumbled, LongshoreError):
            stumble.fail_at = None
            if step >= look_from:
                seen = step
                steps = f"a step from 1 to {step}" if look_from > 1 else f"step {step}"
                assert view(bench) == before, f"{name} failed at {steps} and left a trace"
    assert 1 <= stumble.steps < step, f"{name} failed at step {step} and did not say so"
    return seen == step - 1


#: Operations whose repetition gives the same answer; the others say that nothing was left to do.
ANSWERED_AGAIN: Final = frozenset(
    {
        *("register", "claim", "claim_parked", "finish", "exchange", "save", "expect", "beat"),
        "elect",
    }
    | RULED_AGAIN
    | PLANNED_AGAIN
)


def start(
    bench: Bench, name: str, stumble: Stumble | None
) -> tuple[Operation[Any], tuple[object, ...]]:
    """A new store, prepared for an operation, and what is seen of it."""
    if stumble is not None:
        stumble.operation = ""
    bench.open(Retention(), on_statement=stumble)
    bench.watching = False
    op = WRITES[name](bench)
    bench.watching = True
    return op, view(bench)


def view(bench: Bench, *, marks: bool = True) -> tuple[object, ...]:
    """All that can be observed of a store; without ``marks`` not who waits for which limit."""
    store = bench.store
    jobs, limits = bench.look(restarts=True), bench.do(store.limits())
    schedules = bench.do(store.schedules())
    if not marks:
        unmarked = msgspec.structs.replace
        jobs = {job_id: unmarked(job, blocked_by=None) for job_id, job in jobs.items()}
        limits = tuple(unmarked(one, blocked=0, opens_at=None) for one in limits)
        limits = tuple(one for one in limits if one.used or one.setting)
    return (
        dict(jobs),
        bench.do(store.queues()),
        sorted(bench.do(store.processes()), key=lambda process: process.id),
        sorted(map(repr, bench.do(store.count(Filter())))),
        limits,
        bench.do(store.kinds()),
        schedules,
        [bench.do(store.ticks(one.name, limit=100)) for one in schedules],
        bench.do(store.steps(list(jobs))),
        [bench.do(store.logs(job_id)) for job_id in sorted(jobs) if jobs[job_id].run],
    )


def comparable(answer: object) -> object:
    """An answer without what a claim says beside its jobs, which a repeated one need not.

    Which jobs a rescue gave back has no order; everything else is compared as it is.
    """
    match answer:
        case Claim(live=live, jobs=jobs):
            return (live, jobs)
        case Exchanged(held=held, claim=claim):
            return (held, comparable(claim))
        case Rescued(leases=leases, interrupted=interrupted):
            return dict(zip(leases, interrupted, strict=True))
        case _:
            return answer


def _busy(bench: Bench) -> list[str]:
    """Two processes with two running jobs each; the ids."""
    jobs = bench.add(4)
    for process in ("p1", "p2"):
        bench.process(process)
        bench.leases(process, 2)
    return jobs


def _endings(bench: Bench) -> list[Any]:
    """Endings of many sorts, one of them late."""
    bench.process()
    bench.add(5)
    one, two, three, four, five = bench.leases()
    bench.finish(released(five))
    bench.leases()
    return [
        succeeded(one, b"1"),
        failed(two, bench.now + MINUTE),
        released(three),
        cancelled(four),
        succeeded(five, b"late"),
    ]
