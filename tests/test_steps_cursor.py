"""Loops that go on: a cursor that is no plain value."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore import CONTEXT, JobContext, Longshore
from tests.worker_tools import NOW, drain_due


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    where = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path / 'jobs.db'}"}
    app = Longshore(where[request.param])
    app.migrate()
    yield app
    app.close()


def moving(cursor: list[int]) -> Iterator[tuple[list[int], int]]:
    while cursor[0] < 4:
        cursor[0] += 1
        yield cursor, cursor[0]


def test_a_cursor_that_its_source_changes_in_place_misses_nothing(jobs: Longshore) -> None:
    done: list[int] = []

    @jobs.job(kind="moved", max_attempts=2, backoff=NOW)
    def moved(ctx: JobContext = CONTEXT) -> None:
        for number in ctx.iterate("rows", moving, start=[0]):
            if number == 3 and ctx.attempt == 1:
                raise RuntimeError
            done.append(number)

    moved.enqueue()
    drain_due(jobs)
    assert done == [1, 2, 3, 4]
