"""``ctx.log``: what a job says, read by others while it runs, and kept with it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import CONTEXT, JobContext, JobState, Longshore, Retry, constant, current
from longshore.core.model import Progress
from tests.worker_tools import NOW, eventually


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    app = Longshore(url)
    yield app
    app.close()


def failing_once(ctx: JobContext) -> None:
    if ctx.attempt == 1:
        raise RuntimeError("the first attempt fails")


def test_a_log_is_read_while_the_job_runs(
    jobs: Longshore, caplog: pytest.LogCaptureFixture
) -> None:
    go, seen = threading.Event(), threading.Event()

    @jobs.job(kind="talk", backoff=NOW)
    def talk(ctx: JobContext = CONTEXT) -> None:
        ctx.log.info("page %d of %d", ctx.attempt, 2)
        ctx.progress(1, 2, "half")
        go.wait(10)
        try:
            failing_once(ctx)
        except RuntimeError:
            current().log.exception("it failed")
            raise Retry(in_=0) from None
        ctx.log.warning("%d", "not a number")
        ctx.log.error("é" * 10_000)
        ctx.log.debug(None)

    handle = talk.enqueue()
    with caplog.at_level(logging.DEBUG, "longshore.job"), jobs.worker(threads=1).running():
        eventually(lambda: bool(handle.logs()), 5)
        eventually(lambda: handle.refresh().progress == Progress(1, 2, "half"), 5)
        assert handle.state is JobState.RUNNING
        seen.set()
        go.set()
        handle.result(timeout=10)
    said = handle.logs()
    assert [line.message.partition("\n")[0] for line in said[:4]] == [
        "page 1 of 2",
        "it failed",
        "page 2 of 2",
        "'%d' ('not a number',)",
    ]
    assert "RuntimeError: the first attempt fails" in said[1].message
    assert [line.run for line in said] == [1, 1, 2, 2, 2, 2]
    assert [line.level for line in said] == ["info", "error", "info", "warning", "error", "debug"]
    assert len(said[4].message.encode()) <= 8192
    assert said[4].message.endswith("[cut]")
    assert handle.logs(after=said[-2].number) == said[-1:]
    assert handle.logs(limit=1) == said[:1]
    assert asyncio.run(handle.alogs(limit=1)) == said[:1]
    assert "page 1 of 2" in [record.getMessage() for record in caplog.records]
    names = {one.name for one in caplog.records if one.name.startswith("longshore.job")}
    assert names == {"longshore.job.talk"}


def test_a_job_that_never_stops_talking_keeps_its_last_thousand_lines(jobs: Longshore) -> None:
    @jobs.job(kind="talk")
    def talk(ctx: JobContext = CONTEXT) -> None:
        for number in range(5000):
            ctx.log.info("line %d", number)

    handle = talk.enqueue()
    jobs.worker().run(until_empty=True)
    handle.result(timeout=5)
    assert [line.message for line in handle.logs(limit=2000)] == [
        f"line {number}" for number in range(4000, 5000)
    ]


def test_outside_a_job_the_log_goes_to_logging(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "longshore.job"):
        CONTEXT.log.info("%s", "alone")
    assert [(one.name, one.getMessage()) for one in caplog.records] == [("longshore.job", "alone")]


def test_a_word_that_was_not_heard_is_said_again(jobs: Longshore) -> None:
    """A store that fails when lines are saved: they come with the next ones."""
    from longshore.errors import StoreUnavailable

    store = jobs.client.store
    real, failures = store.run, [2]

    def run(op: Any) -> Any:
        if op.name == "save" and failures[0]:
            failures[0] -= 1
            raise StoreUnavailable("gone for a moment")
        return real(op)

    store.run = run  # type: ignore[method-assign]
    done = threading.Event()

    @jobs.job(kind="talk", backoff=constant("1ms"))
    def talk(ctx: JobContext = CONTEXT) -> None:
        ctx.log.info("one")
        eventually(lambda: not failures[0], 10)
        ctx.log.info("two")
        done.set()

    handle = talk.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    handle.result(timeout=5)
    assert [line.message for line in handle.logs()] == ["one", "two"]
