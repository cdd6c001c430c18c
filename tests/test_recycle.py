"""A child that holds too much memory is replaced; what it runs goes on to its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.harbour_tools import Harbour, eventually

pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]


@pytest.fixture
def crews(tmp_path: Path) -> Iterator[Harbour]:
    made = Harbour(tmp_path, name="crews")
    try:
        yield made
    finally:
        made.stop()


def test_a_large_child_is_replaced_without_a_gap_and_ends_its_jobs(crews: Harbour) -> None:
    worker = crews.worker("--max-rss", "128M", "--shutdown-timeout", "1", threads=2)
    long = crews.app.tend.enqueue()
    eventually(crews.lines, 30, "the start of the long one")
    before = crews.app.where.enqueue().result(timeout=30)
    assert crews.app.hoard.enqueue(160).result(timeout=30) == before
    # There is always one that takes the next job: at last it is the successor.
    eventually(lambda: crews.app.where.enqueue().result(timeout=30) != before, 60, "a successor")
    assert before in crews.family(worker), "it is still at its long job"
    after = crews.app.end.enqueue().result(timeout=30)
    assert after != before
    assert long.result(timeout=30) == (before, 1), "neither interrupted nor run again"
    eventually(lambda: not psutil.pid_exists(before), 30, "the end of the large one")
    assert crews.app.where.enqueue().result(timeout=30) == after, "the successor is not large"
    logs = crews.logs()
    assert logs.count("another takes its place") == 1, logs
    assert "died" not in logs


def test_a_limit_that_no_child_can_keep_replaces_none(crews: Harbour) -> None:
    crews.worker("--max-rss", "4M")
    crews.await_ready()
    eventually(lambda: "more than --max-rss 4M allows" in crews.logs(), 30, "the warning")
    pids = {crews.app.where.enqueue().result(timeout=30) for _ in range(3)}
    assert len(pids) == 1


def test_a_limit_on_jobs_is_kept_where_a_large_child_is_replaced(crews: Harbour) -> None:
    crews.app.hoard.enqueue(160)
    for _ in range(30):
        crews.app.where.enqueue()
    worker = crews.worker("--max-rss", "128M", "--max-jobs", "20", threads=1)
    assert worker.wait(90) in {0, 9}, crews.logs()
    assert crews.app.jobs.query.filter(state="succeeded").count() == 20
