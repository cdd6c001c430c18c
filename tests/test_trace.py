"""The script that all stores are compared by: that it does what it is for, and the same each time.

That a store answers as the others do is a behaviour of the conformance suite.
"""

from collections import Counter
from typing import Any

import pytest

from longshore.core.store import ClaimRequest
from longshore.stores.clock import ManualClock
from longshore.stores.memory.store import MemoryStore
from longshore.testing.conformance.lockstep import Stage
from longshore.testing.conformance.making import FAIR_QUEUES, LIMITS, PRIORITIES, QUEUES, VALUES
from longshore.testing.conformance.trace import (
    LEAST,
    OPERATIONS,
    RETENTION,
    SEEDS,
    Script,
)

#: What every script meets with, and how often at least.
MEETS = {
    "claimed": 100,
    "several lines": LEAST,
    "wildcards": LEAST,
    "claimed again": LEAST,
    "retried": LEAST,
    "due when claimed": LEAST,
    "succeeded": LEAST,
    "retrying": LEAST,
    "scheduled": 5,
    "available": 5,
    "dead": 5,
    "cancelled": 5,
    "late ending": LEAST,
    "parked": 5,
    "parked claimed": 5,
    "parked kinds told": 3,
    "progress": LEAST - 5,
    "cancel ordered": 1,
    "lease lost": 3,
    "elected": 3,
    "rescued": LEAST,
    "interrupted": 5,
    "withheld": 20,
    "pruned": 10,
    "paused": 5,
    "kind paused": 5,
    "paused kind shown": 2,
    "limit used": 5,
    "rate used": 3,
    "blocked": 5,
    "held": 10,
    "replaced": 5,
    "refused": 5,
    "not retried": 1,
    "identity": 3,
    "second page": 3,
    "duplicate": 3,
    "conflict": 1,
    "cancelled by a person": 5,
    "asked to end": 3,
    "retried by a person": 3,
    "deleted": 5,
    "moved": 5,
    "batch in a batch": 5,
    "batch finished": 5,
    "batch reopened": 3,
    "batch gone": 3,
    "success told": 5,
    "complete told": 5,
    "death told": 5,
    "follower claimed": LEAST,
    "stored again": 3,
    "member joined": 5,
    "added by a member": 2,
    "late refused": 5,
    "dependent released": 5,
    "output taken": 3,
    "cancelled by a dead dependency": 1,
    "steps saved": LEAST,
    "lines saved": LEAST,
    "late note": LEAST,
    "log read": 5,
    "steps kept by a retry": 3,
    "expected": LEAST,
    "name refused": 3,
    "schedule add": 3,
    "schedule remove": 1,
    "schedule pause": 2,
    "schedule resume": 3,
    "schedule reset": 2,
    "schedule in code": 1,
    "schedule retired": 3,
    "tick fired": 10,
    "tick skipped": 10,
    "tick missed": 10,
    "tick overlaps": 5,
    "tick held": 5,
    "firing again": 5,
    "firing refused": 5,
    "tick shown": 5,
}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_script_performs_every_operation_often(seed: int) -> None:
    script = Script(seed).play()
    often = {name: script.done[name] for name in OPERATIONS}
    assert min(often.values()) >= LEAST, often
    met = {name: script.met[name] for name in MEETS}
    assert {name: (met[name], least) for name, least in MEETS.items() if met[name] < least} == {}
    new = script.made.values()
    assert {job.queue for job in new} == {*QUEUES, *FAIR_QUEUES}
    assert {limit for job in new if job.rules for limit in job.rules.limits} == {*LIMITS}
    assert {job.rules.fair for job in new if job.rules} == {*VALUES}
    assert {job.priority for job in new} == {*PRIORITIES}
    assert len({*QUEUES, *FAIR_QUEUES}) == 5
    assert len(PRIORITIES) == 4


def test_the_operations_of_a_script_are_those_of_the_seam() -> None:
    made = {
        name
        for name in vars(MemoryStore)
        if hasattr(getattr(MemoryStore, name), "__wrapped__") and not name.startswith("_")
    }
    # The id of a store is the one answer that must differ. Whether a queue whose jobs all wait for
    # a limit wants a worker is left to each, as is when they are marked.
    assert made - {"identity", "demand"} == {*OPERATIONS}


def test_a_seed_gives_one_trace_and_another_seed_another() -> None:
    one, same, other = (Script(seed).play() for seed in (7, 7, 8))
    assert one.trace == same.trace
    assert len(one.trace) > LEAST * len(OPERATIONS)
    assert one.trace != other.trace


class Wrong(MemoryStore):
    """A store that gives out the jobs of each claim in another order."""

    def claim(self, request: ClaimRequest) -> Any:
        op = super().claim(request)
        start = op.start

        def reversed_() -> Any:
            claim = yield from start()
            return type(claim)(claim.live, claim.jobs[::-1], claim.due_in)

        op.start = reversed_
        return op


def test_a_store_that_differs_is_told_with_seed_and_step() -> None:
    clock = ManualClock()
    store = Wrong(clock=clock, retention=RETENTION)
    with pytest.raises(pytest.fail.Exception, match=r"seed 5, step \d+: claim .*process-") as said:
        Script(5, Stage(store, clock, store.run)).play()
    assert Counter(str(said.value).split())["stores"] == 1
