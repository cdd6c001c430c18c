"""How runs end, over memory and SQLite: attempts, rules, errors, parked jobs, timeouts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore import (
    CONTEXT,
    Discard,
    JobContext,
    JobState,
    Longshore,
    Retry,
    Snooze,
    constant,
    discard_on,
    retry_on,
)
from longshore.core import registry
from longshore.core.model import NewJob, Why
from longshore.ids import new_id
from tests.harbour_tools import eventually
from tests.worker_tools import NOW, drain_due


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    app = Longshore(url)
    yield app
    app.close()


def test_a_failing_job_retries_until_its_attempts_are_used_up(jobs: Longshore) -> None:
    @jobs.job(kind="fail", max_attempts=3, backoff=NOW)
    def fail() -> None:
        raise ValueError("no luck")

    handle = fail.enqueue()
    drain_due(jobs)
    handle.refresh()
    assert handle.state is JobState.DEAD
    assert handle.error == "ValueError: no luck"
    assert [run.why for run in handle.runs] == [Why.FAILED] * 3
    assert [run.run for run in handle.runs] == [1, 2, 3]
    assert "fail" in (handle.runs[0].traceback or "")
    assert handle.attempt == 3


def test_a_job_that_fails_twice_succeeds_at_the_third_attempt(jobs: Longshore) -> None:
    @jobs.job(kind="flaky", backoff=NOW)
    def flaky(ctx: JobContext = CONTEXT) -> int:
        if ctx.attempt < 3:
            raise ConnectionError("not yet")
        return ctx.attempt

    handle = flaky.enqueue()
    drain_due(jobs)
    assert handle.result(timeout=5) == 3
    assert len(handle.runs) == 2


@pytest.mark.parametrize(
    ("raised", "state", "why", "failures"),
    [
        (Retry(in_="1h"), JobState.RETRYING, Why.FAILED, 1),
        (Snooze("1h"), JobState.SCHEDULED, Why.SNOOZED, 0),
        (Discard("not wanted"), JobState.CANCELLED, Why.CANCELLED, 0),
        (KeyError("gone"), JobState.CANCELLED, Why.CANCELLED, 0),
        (TimeoutError("slow"), JobState.RETRYING, Why.FAILED, 1),
        (SystemExit(0), JobState.RETRYING, Why.FAILED, 1),
        (KeyboardInterrupt(), JobState.RETRYING, Why.FAILED, 1),
        (GeneratorExit(), JobState.RETRYING, Why.FAILED, 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
@pytest.mark.parametrize("form", ["thread", "async"])
def test_what_a_job_raises_decides_its_ending(  # noqa: PLR0917 - one per column
    jobs: Longshore, raised: BaseException, state: JobState, why: Why, failures: int, form: str
) -> None:
    rules = [retry_on(TimeoutError, wait="1h", attempts=5), discard_on(LookupError)]
    if form == "thread":

        @jobs.job(kind="raise", errors=rules)
        def end() -> None:
            raise raised

        handle = end.enqueue()
    else:

        @jobs.job(kind="raise", errors=rules)
        async def aend() -> None:
            raise raised

        handle = aend.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    record = handle.refresh().record
    assert record.state is state
    assert [run.why for run in record.runs] == [why]
    assert record.failures == failures
    if isinstance(raised, Discard):
        assert record.reason == "not wanted"


def test_a_rule_keeps_its_own_budget(jobs: Longshore) -> None:
    @jobs.job(
        kind="budget",
        backoff=NOW,
        max_attempts=10,
        errors=[retry_on(OSError, wait=NOW, attempts=2)],
    )
    def budget(ctx: JobContext = CONTEXT) -> None:
        raise ValueError("general") if ctx.run in (1, 3) else OSError("limited")

    handle = budget.enqueue()
    drain_due(jobs)
    handle.refresh()
    # ValueError, OSError, ValueError, and the second OSError is one too many.
    assert handle.state is JobState.DEAD
    assert [run.error for run in handle.runs] == ["ValueError", "OSError"] * 2


def test_a_rule_moves_the_retried_job(jobs: Longshore) -> None:
    @jobs.job(kind="move", errors=[retry_on(OSError, wait="1h", queue="slow", priority=7)])
    def move() -> None:
        raise OSError

    handle = move.enqueue()
    jobs.worker().run(until_empty=True)
    record = handle.refresh().record
    assert (record.queue, record.priority) == ("slow", 7)


def test_a_backoff_that_raises_does_not_lose_the_job(jobs: Longshore) -> None:
    def bad(attempt: int, error: BaseException) -> float:
        raise ZeroDivisionError(attempt)

    @jobs.job(kind="bad", backoff=bad)
    def fail() -> None:
        raise ValueError

    handle = fail.enqueue()
    jobs.worker().run(until_empty=True)
    assert handle.refresh().state is JobState.RETRYING


def test_hostile_errors_are_recorded(jobs: Longshore) -> None:
    class HostileError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("and its message too")

    @jobs.job(kind="hostile", max_attempts=1)
    def hostile() -> None:
        raise HostileError

    @jobs.job(kind="long", max_attempts=1)
    def long() -> None:
        raise ValueError("x\0\ud800" * 20_000)

    @jobs.job(kind="loop", max_attempts=1)
    def loop() -> None:
        error = ValueError("a")
        error.__cause__ = error
        raise error

    handles = [hostile.enqueue(), long.enqueue(), loop.enqueue()]
    jobs.worker().run(until_empty=True)
    for handle in handles:
        assert handle.refresh().state is JobState.DEAD
        (run,) = handle.runs
        assert run.message is not None
        assert len(run.message.encode()) <= 10_000
        assert "\0" not in run.message


def test_a_result_that_cannot_be_stored_is_no_failure(jobs: Longshore) -> None:
    @jobs.job(kind="odd")
    def odd():  # no annotation: anything may be returned, only JSON can be kept
        return object()

    handle = odd.enqueue()
    jobs.worker().run(until_empty=True)
    record = handle.refresh().record
    assert record.state is JobState.SUCCEEDED
    assert record.result_error is not None


def test_unknown_kinds_are_parked_and_taken_by_who_knows_them(jobs: Longshore) -> None:
    handle = jobs.push({"kind": "later", "args": [3]})
    jobs.worker(threads=1).run(until_empty=True)
    record = handle.refresh().record
    assert record.state is JobState.AVAILABLE
    assert record.parked is not None
    assert "later" in record.parked
    assert record.failures == 0
    runs = record.run
    jobs.worker(threads=1).run(until_empty=True)
    assert handle.refresh().record.run == runs, "parked once for this list of kinds"

    @jobs.job(kind="later")
    def later(n: int) -> int:
        return n + 1

    with jobs.worker(threads=1).running():
        assert handle.result(timeout=10) == 4


def test_arguments_that_do_not_fit_are_parked(jobs: Longshore) -> None:
    @jobs.job(kind="typed")
    def typed(n: int) -> None: ...

    handle = jobs.push({"kind": "typed", "args": ["three"]})
    jobs.worker(threads=1).run(until_empty=True)
    record = handle.refresh().record
    assert record.state is JobState.AVAILABLE
    assert record.parked is not None
    assert record.failures == 0


def test_a_newer_payload_is_parked_and_looked_at_again_by_a_newer_release(
    jobs: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    @jobs.job(kind="plain")
    def plain() -> None: ...

    now = time.time_ns() // 1000
    newer = b'{"v":2,"args":{"another":"form"}}'
    new = NewJob(new_id(), "plain", "default", newer, JobState.AVAILABLE, 50, now, now)
    jobs.store.run(jobs.store.insert([new]))
    for _ in range(2):
        jobs.worker(threads=1).run(until_empty=True)
    record = jobs.get(new.id).record
    assert (record.state, record.run, record.failures) == (JobState.AVAILABLE, 1, 0)
    assert (record.parked or "").startswith("UnknownPayloadVersion")
    assert record.payload == newer, "nothing of it is lost"
    # A release that reads more, with the same jobs in the application.
    monkeypatch.setattr(registry, "VERSION", 2)
    with jobs.worker(threads=1).running():
        eventually(lambda: jobs.get(new.id).record.run > 1, 20, "a second look")


@pytest.mark.parametrize("form", ["thread", "async"])
def test_a_timeout_is_a_failed_attempt(jobs: Longshore, form: str) -> None:
    if form == "thread":

        @jobs.job(kind="slow", timeout="50ms", backoff=constant("1h"))
        def slow() -> None:
            for _ in range(1000):
                threading.Event().wait(0.01)

        handle = slow.enqueue()
    else:

        @jobs.job(kind="slow", timeout="50ms", backoff=constant("1h"))
        async def aslow() -> None:
            await asyncio.sleep(10)

        handle = aslow.enqueue()
    started = time.monotonic()
    jobs.worker(threads=1).run(until_empty=True)
    assert time.monotonic() - started < 5
    handle.refresh()
    assert handle.state is JobState.RETRYING
    (run,) = handle.runs
    assert run.why is Why.TIMED_OUT
    assert run.error == "longshore.errors.AttemptTimeout"
