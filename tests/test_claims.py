"""What a process has, and which of its claims are still under way."""

from typing import Any, cast

import pytest

from longshore.core.model import Claimed, Lease
from longshore.running import Reports, RunState
from longshore.worker.claims import Claims

NOBODY = cast("Reports", None)


def run(job_id: str, claim_id: int, number: int = 1) -> RunState:
    """The run of this number of a job."""
    one = (
        job_id,
        number,
        "tiny",
        "default",
        b"{}",
        0,
        0,
        0,
        1,
        1,
        1,
        1,
        None,
        None,
        None,
        (),
        None,
    )
    claimed = Claimed(*one)
    return RunState(claimed, Lease(job_id, "p", number), claim_id, NOBODY)


def begun(*runs: RunState) -> tuple[Claims, dict[str, RunState]]:
    """Two claims that brought these."""
    claims = Claims()
    for number in (1, 2):
        claims.begin()
        claims.arrived(number, sum(one.claim_id == number for one in runs), 0.0)
    return claims, {one.claimed.id: one for one in runs}


def batch(*runs: RunState) -> Any:
    return [(one, None) for one in runs]


def test_claims_are_over_with_their_last_job() -> None:
    one, two, three = run("a", 1), run("b", 1), run("c", 2)
    claims, inflight = begun(one, two, three)
    claims.over(batch(two, three), inflight)
    assert (inflight, claims.oldest) == ({"a": one}, 1)
    claims.over(batch(one), inflight)
    assert (inflight, claims.oldest) == ({}, 3)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["before", "behind"])
def test_a_run_of_a_lost_lease_takes_nothing_from_a_later_one(order: tuple[int, int]) -> None:
    lost, later, other = run("a", 1), run("a", 2, 2), run("b", 2)
    claims, inflight = begun(later, other)
    claims.over(batch(lost, other), inflight)
    assert (inflight, claims.oldest) == ({"a": later}, 2)
    both = (lost, later)
    claims.over(batch(*(both[at] for at in order)), inflight)
    assert (inflight, claims.oldest) == ({}, 3)


def test_a_run_that_ends_twice_is_over_once() -> None:
    one, two = run("a", 1), run("b", 1)
    claims, inflight = begun(one, two)
    claims.over(batch(one, one), inflight)
    assert (inflight, claims.oldest) == ({"b": two}, 1)
