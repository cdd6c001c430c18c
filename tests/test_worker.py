"""The embedded worker over memory and SQLite: slots, order, cancel, shutdown, context."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore import (
    CONTEXT,
    Event,
    Job,
    JobContext,
    JobState,
    Longshore,
    current,
)
from longshore.core.model import JobRecord, Why
from tests.worker_tools import eventually


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    app = Longshore(url)
    yield app
    app.close()


def test_every_job_runs_once_and_its_result_comes_back(jobs: Longshore) -> None:
    seen: list[int] = []

    @jobs.job(kind="double")
    def double(n: int) -> int:
        seen.append(n)
        return 2 * n

    handles = jobs.enqueue_many(double.bind(n) for n in range(500))
    jobs.worker(threads=4).run(until_empty=True)
    assert sorted(seen) == list(range(500))
    assert [handle.result(timeout=5) for handle in handles] == [2 * n for n in range(500)]
    assert handles[0].refresh().state is JobState.SUCCEEDED


def test_coroutine_jobs_run_side_by_side(jobs: Longshore) -> None:
    here = 0
    most = 0

    @jobs.job(kind="meet")
    async def meet() -> str:
        nonlocal here, most
        here += 1
        most = max(most, here)
        await asyncio.sleep(0.05)
        here -= 1
        return "met"

    handles = [meet.enqueue() for _ in range(8)]
    jobs.worker(threads=4).run(until_empty=True)
    assert most == 4
    assert {handle.result(timeout=5) for handle in handles} == {"met"}


def test_a_process_never_runs_more_jobs_than_it_has_slots(jobs: Longshore) -> None:
    lock = threading.Lock()
    here = most = 0

    def enter(by: int) -> None:
        nonlocal here, most
        with lock:
            here += by
            most = max(most, here)

    @jobs.job(kind="thread")
    def in_thread() -> None:
        enter(1)
        threading.Event().wait(0.02)
        enter(-1)

    @jobs.job(kind="task")
    async def in_task() -> None:
        enter(1)
        await asyncio.sleep(0.02)
        enter(-1)

    for _ in range(10):
        in_thread.enqueue()
        in_task.enqueue()
    jobs.worker(threads=3).run(until_empty=True)
    assert most == 3
    assert jobs.query.filter(state="succeeded").count() == 20


@pytest.mark.parametrize("form", ["thread", "async", "cooperative"])
def test_a_running_job_hears_a_cancel(jobs: Longshore, form: str) -> None:
    running = threading.Event()

    @jobs.job(kind="thread")
    def in_thread() -> None:
        running.set()
        for _ in range(1000):
            threading.Event().wait(0.01)

    @jobs.job(kind="async")
    async def in_task() -> None:
        running.set()
        await asyncio.sleep(10)

    @jobs.job(kind="cooperative")
    def cooperative(ctx: JobContext = CONTEXT) -> None:
        running.set()
        for _ in range(1000):
            threading.Event().wait(0.01)
            ctx.checkpoint()

    body = {"thread": in_thread, "async": in_task, "cooperative": cooperative}[form]
    handle = body.enqueue()
    with jobs.worker(threads=1).running():
        assert running.wait(10)
        assert handle.cancel("not needed")
        handle.wait(timeout=5)
    assert handle.state is JobState.CANCELLED
    assert handle.record.finalized_at is not None


def test_a_queued_job_is_cancelled_at_once(jobs: Longshore) -> None:
    @jobs.job(kind="never")
    def never() -> None:
        raise AssertionError("it must not run")

    handle = never.enqueue()
    assert handle.cancel("changed our mind")
    assert handle.refresh().state is JobState.CANCELLED
    assert handle.record.reason == "changed our mind"
    assert not handle.cancel()
    jobs.worker().run(until_empty=True)
    assert handle.refresh().runs == ()


@pytest.mark.timed
def test_draining_finishes_the_short_and_gives_back_the_long(jobs: Longshore) -> None:
    started = threading.Semaphore(0)

    @jobs.job(kind="short")
    def short() -> None:
        started.release()
        threading.Event().wait(0.1)

    @jobs.job(kind="long")
    def long() -> None:
        started.release()
        for _ in range(2000):
            threading.Event().wait(0.01)

    @jobs.job(kind="waiting")
    def waiting() -> None: ...

    one, other = short.enqueue(), long.enqueue()
    rest = [waiting.using(priority=9).enqueue() for _ in range(3)]
    before = time.monotonic()
    with jobs.worker(threads=2, shutdown_timeout="500ms").running():
        assert started.acquire(timeout=10)
        assert started.acquire(timeout=10)
    assert time.monotonic() - before < 4
    assert one.refresh().state is JobState.SUCCEEDED
    record = other.refresh().record
    assert record.state is JobState.AVAILABLE
    assert record.failures == 0
    assert record.interruptions == 0
    assert [run.why for run in record.runs] == [Why.RELEASED]
    assert {handle.refresh().record.failures for handle in rest} == {0}
    jobs.worker(threads=2, queues=["none"]).run(until_empty=True)


@pytest.mark.timed
def test_delayed_jobs_start_when_they_are_due(jobs: Longshore) -> None:
    ran = threading.Event()

    @jobs.job(kind="delayed")
    def delayed() -> float:
        ran.set()
        return time.time()

    handle = delayed.using(delay="300ms").enqueue()
    assert handle.state is JobState.SCHEDULED
    due = handle.record.scheduled_at / 1e6
    with jobs.worker(threads=1).running():
        at = handle.result(timeout=10)
    assert 0 <= at - due < 0.25


def test_order_and_queues(jobs: Longshore) -> None:
    order: list[str] = []

    @jobs.job(kind="note")
    def note(name: str) -> None:
        order.append(name)

    note.using(queue="low").enqueue("low")
    note.using(queue="mail", priority=5).enqueue("mail late")
    note.using(queue="mail", priority=-5).enqueue("mail early")
    note.using(queue="critical").enqueue("critical")
    note.using(queue="audit").enqueue("audit")
    jobs.worker(queues=["critical", "mail", "*", "-audit"], threads=1).run(until_empty=True)
    assert order == ["critical", "mail early", "mail late", "low"]


def test_progress_is_seen_while_the_job_runs(jobs: Longshore) -> None:
    seen, go_on = threading.Event(), threading.Event()

    @jobs.job(kind="pages")
    def pages(ctx: JobContext = CONTEXT) -> None:
        ctx.progress(3, 10, "page 3")
        seen.set()
        assert go_on.wait(10)
        ctx.progress(10, 10, "done")

    handle = pages.enqueue()
    with jobs.worker(threads=1).running():
        assert seen.wait(10)
        eventually(lambda: handle.refresh().progress is not None)
        assert handle.progress is not None
        assert (handle.progress.done, handle.progress.message) == (3, "page 3")
        go_on.set()
        handle.wait(timeout=10)
    assert handle.progress is not None
    assert handle.progress.message == "done"


def test_context_in_all_its_forms(jobs: Longshore) -> None:
    @jobs.job(kind="first", context=True)
    def first(ctx: JobContext, n: int) -> list[object]:
        return [ctx.id, ctx.queue, ctx.attempt, ctx.run, n]

    @jobs.job(kind="ambient")
    def ambient() -> str | None:
        return current().id

    class Classy(Job, app=jobs):
        kind = "classy"
        queue = "images"

        def perform(self, n: int) -> list[object]:
            return [self.context.id, self.context.queue, n]

    one, two, three = first.enqueue(7), ambient.enqueue(), Classy.enqueue(8)
    jobs.worker().run(until_empty=True)
    assert one.result(timeout=5) == [one.id, "default", 1, 1, 7]
    assert two.result(timeout=5) == two.id
    assert three.result(timeout=5) == [three.id, "images", 8]


def test_middleware_events_and_hooks(jobs: Longshore) -> None:
    told: list[str] = []

    @jobs.middleware
    def outer(job: JobRecord) -> Iterator[None]:
        told.append(f"before {job.kind}")
        yield
        told.append(f"after {job.kind}")

    @jobs.on("job.succeeded")
    def succeeded(event: Event) -> None:
        told.append(f"{event.name} {event.kind}")

    @jobs.on("job.dead")
    def broken_listener(event: Event) -> None:
        told.append(f"{event.name} {event.kind}")
        raise RuntimeError("a listener harms nobody")

    class Doomed(Job, app=jobs):
        kind = "doomed"
        max_attempts = 1

        def perform(self) -> None:
            raise ValueError("doomed")

        def around_perform(self) -> Iterator[None]:
            told.append("around in")
            try:
                yield
            finally:
                told.append("around out")

        def after_death(self, error: BaseException) -> None:
            told.append(f"after_death {error}")

    @jobs.job(kind="fine")
    def fine() -> None:
        told.append("fine")

    fine.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    assert told == ["before fine", "fine", "after fine", "job.succeeded fine"]
    told.clear()
    Doomed.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    assert told == [
        "before doomed",
        "around in",
        "around out",
        "job.dead doomed",
        "after_death doomed",
    ]


def test_two_workers_share_the_work(jobs: Longshore) -> None:
    done: list[int] = []

    @jobs.job(kind="share")
    def share(n: int) -> None:
        done.append(n)

    handles = jobs.enqueue_many(share.bind(n) for n in range(2000))
    with jobs.worker(threads=2).running(), jobs.worker(threads=2).running():
        eventually(lambda: len(done) >= 2000, 30)
        handles[-1].wait(timeout=10)
    assert sorted(done) == list(range(2000))


def test_a_slow_job_does_not_hold_back_tiny_ones_behind_it(jobs: Longshore) -> None:
    """Once jobs are known as tiny they share a slot; a long one among them must not block it."""
    let_go = threading.Event()
    done: list[int] = []

    @jobs.job(kind="mixed")
    def mixed(n: int) -> None:
        if n == 5000:
            assert let_go.wait(20)
        done.append(n)

    jobs.enqueue_many(mixed.bind(n) for n in range(5000))
    with jobs.worker(threads=3).running():
        eventually(lambda: len(done) >= 5000, 30)
        jobs.enqueue_many(mixed.bind(n) for n in range(5000, 6000))
        eventually(lambda: len(done) >= 5999, 10)
        let_go.set()
        eventually(lambda: len(done) >= 6000, 10)
