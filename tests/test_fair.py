"""Turns between the values of `fair_by`, by weight, with workers over two stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import Longshore
from tests.limits_tools import Hand, check_shares, one_turn, shares


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    app = Longshore(url)
    yield app
    app.close()


def declare(jobs: Longshore, order: list[str], **options: Any) -> Any:
    @jobs.job(kind="sync", fair_by="tenant", **options)
    def sync(tenant: str, n: int = 0) -> None:
        order.append(tenant)

    return sync


def test_one_job_behind_many_of_another_tenant_waits_for_one_turn(jobs: Longshore) -> None:
    order: list[str] = []
    sync = declare(jobs, order)
    jobs.enqueue_many(sync.bind("a", n) for n in range(5000))
    one_turn(Hand(jobs), lambda: sync.enqueue("b"))


def test_many_tenants_take_turns_in_a_worker(jobs: Longshore) -> None:
    order: list[str] = []
    sync = declare(jobs, order)
    jobs.enqueue_many(sync.bind("a", n) for n in range(60))
    jobs.enqueue_many(sync.bind(tenant) for tenant in "bcd" for _ in range(5))
    jobs.worker(threads=1).run(until_empty=True)
    assert Counter(order[:20]) == {"a": 5, "b": 5, "c": 5, "d": 5}
    assert order[20:] == ["a"] * 55


@pytest.mark.parametrize(
    "weight", [{"big": 4}, lambda tenant: 4 if tenant == "big" else 1], ids=["mapping", "function"]
)
def test_weights_are_kept(jobs: Longshore, weight: Any) -> None:
    order: list[str] = []
    sync = declare(jobs, order, fair_weight=weight)
    jobs.enqueue_many(sync.bind(tenant, n) for tenant in ("small", "big") for n in range(800))
    check_shares(shares(Hand(jobs), 500, 250), {"small": 1, "big": 4})


def test_priority_goes_before_turns_and_plain_jobs_have_one_turn_together(
    jobs: Longshore,
) -> None:
    order: list[str] = []
    sync = declare(jobs, order)

    @jobs.job(kind="plain")
    def plain() -> None:
        order.append("plain")

    jobs.enqueue_many(sync.bind("a", n) for n in range(4))
    jobs.enqueue_many(plain.bind() for _ in range(4))
    sync.using(priority=-1).enqueue("first")
    jobs.worker(threads=1).run(until_empty=True)
    assert order[0] == "first"
    assert Counter(order[1:5]) == {"a": 2, "plain": 2}
    assert Counter(order) == {"first": 1, "a": 4, "plain": 4}
