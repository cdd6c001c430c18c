"""What an application puts around its jobs: the onion, and listeners of events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from longshore import DeclarationError, Event, JobRecord, JobState, Longshore
from longshore.middleware import EVENTS

CONTRACT = """
job.enqueued job.started job.succeeded job.failed job.retrying job.dead job.cancelled job.rescued
job.parked schedule.fired schedule.skipped schedule.missed worker.started worker.quiet
worker.stopped queue.paused queue.resumed
"""


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


def work(jobs: Longshore) -> None:
    jobs.worker(threads=1).run(until_empty=True)


def test_middleware_nests_in_the_order_given_around_both_kinds_of_job(jobs: Longshore) -> None:
    steps: list[str] = []

    @jobs.middleware
    def outer(job: JobRecord) -> Iterator[None]:
        steps.append(f"outer {job.kind}")
        yield
        steps.append("outer end")

    @jobs.middleware
    def inner(job: JobRecord) -> Iterator[None]:
        steps.append(f"inner {job.attempt}")
        yield
        steps.append("inner end")

    @jobs.job(kind="sync")
    def sync() -> None:
        steps.append("body")

    @jobs.job(kind="async")
    async def awaited() -> None:
        await asyncio.sleep(0)
        steps.append("body")

    for job in (sync, awaited):
        steps.clear()
        handle = job.enqueue()
        work(jobs)
        handle.result(timeout=5)
        expected = [f"outer {job.kind}", "inner 1", "body", "inner end", "outer end"]
        assert steps == expected


def test_middleware_sees_an_error_may_change_it_and_cannot_hide_it(jobs: Longshore) -> None:
    seen: list[str] = []

    @jobs.middleware
    def hiding(_job: JobRecord) -> Iterator[None]:
        try:
            yield
        except LookupError as error:
            seen.append(repr(error))

    @jobs.middleware
    def changing(_job: JobRecord) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise LookupError("changed") from error

    @jobs.job(kind="failing", max_attempts=1)
    def failing() -> None:
        raise ValueError("first")

    handle = failing.enqueue()
    work(jobs)
    assert seen == ["LookupError('changed')"]
    assert handle.refresh().state is JobState.DEAD
    assert handle.error == "LookupError: changed"


def test_an_error_of_middleware_is_the_job_s(jobs: Longshore) -> None:
    @jobs.middleware
    def refusing(job: JobRecord) -> Iterator[None]:
        if job.kind == "refused":
            raise PermissionError("not here")
        yield

    ran: list[int] = []

    @jobs.job(kind="refused", max_attempts=1)
    def refused() -> None:
        ran.append(1)

    handle = refused.enqueue()
    work(jobs)
    assert handle.refresh().error == "PermissionError: not here"
    assert not ran


def test_the_list_of_events_is_closed(jobs: Longshore) -> None:
    assert set(CONTRACT.split()) == EVENTS
    with pytest.raises(DeclarationError, match=r"'job.died'.*job.dead"):
        jobs.on("job.died")


def test_listeners_hear_in_order_and_one_that_raises_harms_nobody(
    jobs: Longshore, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []

    @jobs.on("job.enqueued")
    def broken(_event: Event) -> None:
        raise RuntimeError("out of order")

    @jobs.on("job.enqueued")
    def listen(event: Event) -> None:
        heard.append((event.name, event.job_id, event.kind, event.queue))

    @jobs.job(kind="work", queue="low")
    def body() -> None: ...

    handle = body.enqueue()
    handles = jobs.enqueue_many([body.bind(), body.bind()])
    assert [job_id for _, job_id, _, _ in heard] == [handle.id, *(one.id for one in handles)]
    assert {(name, kind, queue) for name, _, kind, queue in heard} == {
        ("job.enqueued", "work", "low")
    }
    assert "out of order" in caplog.text
    assert "job.enqueued" in caplog.text


def test_an_enqueue_that_met_its_own_id_is_no_event(jobs: Longshore) -> None:
    heard: list[str | None] = []
    jobs.on("job.enqueued")(lambda event: heard.append(event.job_id))

    @jobs.job(kind="work")
    def body() -> None: ...

    handle = body.enqueue()
    assert body.using(id=handle.id).enqueue().is_duplicate
    assert heard == [handle.id]


@pytest.mark.parametrize("wrong", [lambda job: None, print, 5, asyncio.sleep])
def test_what_is_no_generator_function_is_no_middleware(jobs: Longshore, wrong: Any) -> None:
    with pytest.raises(DeclarationError, match="one yield"):
        jobs.middleware(wrong)


def test_a_start_and_a_cancel_of_a_queued_job_are_told() -> None:
    jobs = Longshore("memory://")
    told: list[tuple[str, str | None]] = []

    @jobs.job(kind="work")
    def work() -> None: ...

    @jobs.on("job.started")
    def started(event: Event) -> None:
        told.append((event.name, event.job_id))

    @jobs.on("job.cancelled")
    def cancelled(event: Event) -> None:
        told.append((event.name, event.job_id))

    one, two, three = work.enqueue(), work.enqueue(), work.enqueue()
    assert one.cancel()
    assert not one.cancel()
    assert jobs.query.filter(id=two.id).cancel().changed == 1
    jobs.worker(threads=1).run(until_empty=True)
    assert told == [
        ("job.cancelled", one.id),
        ("job.cancelled", two.id),
        ("job.started", three.id),
    ]
    jobs.close()


async def awaited(event: Event) -> None:
    """Nobody would await it."""


@pytest.mark.parametrize(
    "wrong", [awaited, None, "alarm", lambda: None, lambda _event, _more: None]
)
def test_who_could_not_be_told_is_no_listener(jobs: Longshore, wrong: Any) -> None:
    with pytest.raises(DeclarationError, match=r"cannot be told of job\.dead"):
        jobs.on("job.dead")(wrong)


@pytest.mark.parametrize("right", [print, [].append, lambda *_: None, lambda _event, _more=1: None])
def test_who_takes_one_event_is_a_listener(jobs: Longshore, right: Any) -> None:
    assert jobs.on("job.dead")(right) is right
