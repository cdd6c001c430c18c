"""What a process's lanes know of jobs with a rate, which start at once or are not asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from longshore.worker.lanes import Lanes


@pytest.mark.parametrize(
    ("brought", "free", "asks"),
    [
        ("rrrr", 8, 10),  # full of rates: what is next has one
        ("rr", 2, 10),
        ("rrrp", 8, None),
        ("rr", 8, None),  # there were no more
        ("pppp", 8, None),
    ],
)
def test_behind_a_claim_full_of_rates_only_what_can_start_is_asked_for(
    brought: str, free: int, asks: int | None
) -> None:
    """Asked for more, a store would read as much as for a full claim, and give a few."""
    performer: Any = SimpleNamespace(coroutine_kinds=frozenset, rated_kinds=lambda: {"r"})
    lanes = Lanes(10, performer, lambda _run, _ending: None)
    jobs: Any = [SimpleNamespace(kind=kind) for kind in brought]
    lanes.came(jobs, free=free, wanted=4)
    assert lanes.starved() == asks


def test_who_forgets_its_jobs_has_no_start_to_wait_for() -> None:
    """As where its lease was lost: none of them is ever begun here."""
    performer: Any = SimpleNamespace(coroutine_kinds=frozenset, rated_kinds=lambda: {"r"})
    lanes = Lanes(10, performer, lambda _run, _ending: None)
    jobs: Any = [SimpleNamespace(kind="r", timeout=None) for _ in range(10)]
    runs: Any = [SimpleNamespace(claimed=one, started_at=0, ended_at=0) for one in jobs]
    lanes.came(jobs, free=10, wanted=10)
    lanes.threads.wake = lambda _number: None  # type: ignore[method-assign]
    lanes.hand_out(runs)
    assert (lanes.starved(), lanes.free()) == (0, 0)
    assert lanes.clear() == 10
    assert (lanes.starved(), lanes.free(), lanes.waiting) == (None, 10, 0)
    lanes.stop()
