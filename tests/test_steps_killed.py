"""Steps and loops of jobs whose processes are killed in the middle, on every store."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harbour_tools import eventually
from tests.places import each
from tests.stepper_tools import Open, kill_a_loop, stepper

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    with stepper(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("job", ["steps", "steps_apart", "steps_awaited"])
@pytest.mark.parametrize("kind", each("sqlite", "postgres18", "mariadb", "valkey"))
def test_what_was_done_before_a_kill_is_not_done_again(opened: Open, kind: str, job: str) -> None:
    """SIGKILL in step 7 of 10: steps 1 to 6 do not run again."""
    harbour = opened(kind)
    handle = getattr(harbour.app, job).enqueue()
    harbour.worker(threads=1)
    assert handle.result(timeout=60) == [f"part {number}" for number in range(1, 11)]
    done = [(int(line[3]), int(line[4])) for line in harbour.lines() if line[2] == "step"]
    assert done == [(number, 1) for number in range(1, 8)] + [(n, 2) for n in range(7, 11)]
    record = handle.refresh().record
    assert (record.failures, record.interruptions) == (0, 1)
    if job != "steps_awaited":
        assert [line.message for line in handle.logs()] == ["run 1", "run 2"]
        assert handle.progress is not None
        assert handle.progress.done == 10


@pytest.mark.parametrize(("job", "kills"), [("rows", 2), ("rows_apart", 10)])
def test_a_loop_that_is_killed_repeats_a_second_and_misses_nothing(
    opened: Open, job: str, kills: int
) -> None:
    """``faults/test_steps.py`` kills it ten times on every store."""
    kill_a_loop(opened("sqlite"), job, kills)


def test_a_job_of_its_own_process_hears_that_its_worker_stops(opened: Open) -> None:
    harbour = opened("sqlite")
    handle = harbour.app.until_stopped.enqueue()
    worker = harbour.worker("--shutdown-timeout", "20", threads=1)
    eventually(lambda: any(line[2] == "turn" for line in harbour.lines()), 30)
    worker.send_signal(signal.SIGTERM)
    worker.wait(15)
    assert handle.refresh().state == "available"
    harbour.worker(threads=1)
    assert handle.result(timeout=30) == "run 2, attempt 1"
