"""Fifty enqueue the same unique job in a thousand rounds on every store, killed and with workers
killed: one holder at any time, and never stuck."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore import Longshore, Unique
from tests.owners_tools import limited
from tests.places import each
from tests.unique_tools import Contest, one_holder

pytestmark = [pytest.mark.timeout(1200)]
ROUNDS = 1000


@pytest.mark.parametrize("kind", each("sqlite", "postgres18", "mariadb", "redis", "valkey"))
def test_one_holder_among_processes_that_are_killed(kind: str, tmp_path: Path) -> None:
    with limited(kind, tmp_path) as harbour:
        contest = Contest(harbour)
        try:
            began = time.monotonic()
            watcher = contest.run(ROUNDS, kill_every=21)
            took = time.monotonic() - began
        finally:
            contest.stop()
        print(
            f"{kind}: {ROUNDS} rounds of 50 in {took:.0f} s, {len(contest.made)} holders, killed"
            f" {dict(contest.kills)}; at most {watcher.most} live in {watcher.looks} looks"
        )


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


def test_one_holder_among_threads_in_memory(jobs: Longshore) -> None:
    @jobs.job(kind="validate", unique=Unique())
    def validate(user_id: int) -> None: ...

    one_holder(jobs, validate, rounds=ROUNDS)
