"""Who is told of what jobs come to: listeners and hooks, in a thread of their own."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Iterator

import pytest

from longshore import Event, Job, Longshore, NotAJobFunction
from longshore.worker import teller
from tests.worker_tools import eventually


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


def test_a_slow_listener_holds_up_no_job(jobs: Longshore) -> None:
    told: list[str] = []
    free = threading.Event()

    @jobs.on("job.succeeded")
    def slow(event: Event) -> None:
        free.wait(20)
        told.append(event.kind or "")

    @jobs.job(kind="quick")
    def quick(number: int) -> int:
        return number

    with jobs.worker(threads=2).running():
        for number in range(20):
            assert quick.enqueue(number).result(timeout=10) == number
        assert told == []
        free.set()
    assert told == ["quick"] * 20


def test_what_a_listener_enqueues_runs_before_the_worker_is_done(jobs: Longshore) -> None:
    ran: list[str] = []

    @jobs.job(kind="first")
    def first() -> None:
        ran.append("first")

    @jobs.job(kind="second")
    def second() -> None:
        ran.append("second")

    @jobs.on("job.succeeded")
    def follow(event: Event) -> None:
        time.sleep(0.2)
        if event.kind == "first":
            second.enqueue()

    first.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    assert ran == ["first", "second"]


def test_what_cannot_be_told_any_more_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(teller, "MOST", 2)
    told: list[int] = []
    begun, free = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        free.wait(20)

    made = teller.Teller()
    made.say(slow)
    assert begun.wait(10)
    for number in range(5):
        made.say(functools.partial(told.append, number))
    assert made.busy
    free.set()
    made.close(10)
    assert told == [0, 1]
    assert not made.busy
    assert sum("1 calls" in line or "2 calls" in line for line in caplog.messages) == 2


def test_a_worker_claims_no_more_while_much_is_to_be_told(
    jobs: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teller, "FULL", 5)
    ran: list[int] = []
    free = threading.Event()

    @jobs.on("job.succeeded")
    def slow(_event: Event) -> None:
        free.wait(20)

    @jobs.job(kind="quick")
    def quick(number: int) -> None:
        ran.append(number)

    with jobs.worker(threads=1).running():
        for number in range(6):
            quick.enqueue(number).wait(timeout=10)
        late = quick.enqueue(6)
        threading.Event().wait(0.5)
        assert ran == list(range(6))
        free.set()
        late.wait(timeout=10)


def test_a_call_that_takes_very_long_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(teller, "COMPLAIN", 0)
    free = threading.Event()
    made = teller.Teller()
    made.say(lambda: free.wait(20))
    eventually(lambda: made.busy and "has taken" in caplog.text)
    assert made.busy
    free.set()
    made.close(10)
    assert caplog.text.count("has taken") == 1


def test_who_closes_waits_no_longer_than_he_said(caplog: pytest.LogCaptureFixture) -> None:
    free = threading.Event()
    made = teller.Teller()
    made.say(lambda: free.wait(20))
    made.say(lambda: None)
    began = time.monotonic()
    made.close(0.1)
    assert time.monotonic() - began < 5
    free.set()
    assert "1 calls" in caplog.text


def test_a_hook_that_nobody_would_await_is_refused(jobs: Longshore) -> None:
    with pytest.raises(NotAJobFunction, match="after_death"):

        class Alarms(Job, app=jobs):
            kind = "alarms"

            def perform(self) -> None: ...

            async def after_death(self, error: BaseException | None) -> None: ...


def test_a_filter_that_raises_fails_no_job(jobs: Longshore) -> None:
    class Raises(logging.Filter):
        def filter(self, _record: logging.LogRecord) -> bool:
            raise RuntimeError

    @jobs.job(kind="speaks", max_attempts=1)
    def speaks() -> str:
        from longshore import current

        context = current()
        assert context is not None
        context.log.info("a word")
        return "said"

    logger = logging.getLogger("longshore.job.speaks")
    loud = Raises()
    logger.addFilter(loud)
    try:
        handle = speaks.enqueue()
        jobs.worker(threads=1).run(until_empty=True)
    finally:
        logger.removeFilter(loud)
    assert handle.result(timeout=1) == "said"
    assert [line.message for line in handle.logs()] == ["a word"]
