"""What a body does to its surroundings, and its surroundings to it: contexts, errors, listeners."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import Event, JobState, Longshore
from longshore.core.model import Why
from tests.worker_tools import NOW, eventually

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


# --- contexts ---


@pytest.mark.parametrize("awaited", [False, True])
def test_what_a_job_sets_in_its_context_is_nobodys_after_it(
    jobs: Longshore, *, awaited: bool
) -> None:
    seen: list[str] = []

    def look(name: str) -> None:
        seen.append(tenant.get())
        tenant.set(name)

    async def alook(name: str) -> None:
        look(name)
        await asyncio.sleep(0)

    job = jobs.job(kind="look")(alook if awaited else look)
    jobs.enqueue_many(job.bind(f"t{number}") for number in range(5))
    jobs.worker(threads=1).run(until_empty=True)
    assert seen == ["nobody"] * 5


def test_an_idle_slot_keeps_nothing_of_the_job_that_failed(jobs: Longshore) -> None:
    class Large:
        pass

    held: list[weakref.ref[Large]] = []

    @jobs.job(kind="heavy", max_attempts=1)
    def heavy() -> None:
        large = Large()
        held.append(weakref.ref(large))
        raise RuntimeError

    with jobs.worker(threads=2).running():
        heavy.enqueue().wait(timeout=10)

        def freed() -> bool:
            gc.collect()
            return held[0]() is None

        eventually(freed)


# --- bodies that do not do what they seem to ---


def test_a_plain_decorator_around_a_coroutine_is_a_failed_attempt(jobs: Longshore) -> None:
    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @jobs.job(kind="charge", max_attempts=1)
    @timed
    async def charge() -> int:
        return 1

    handle = charge.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    assert handle.refresh().state is JobState.DEAD
    [run] = handle.runs
    assert run.error == "TypeError"
    assert "nobody awaits" in (run.message or "")


def test_a_body_that_cancels_every_task_loses_no_job(jobs: Longshore) -> None:
    ran: list[int] = []

    @jobs.job(kind="tidy")
    async def tidy() -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    @jobs.job(kind="plain", backoff=NOW)
    async def plain(number: int) -> None:
        ran.append(number)

    jobs.enqueue_many([tidy.bind(), *(plain.bind(number) for number in range(3))])
    jobs.worker(threads=4).run(until_empty=True)
    assert sorted(ran) == [0, 1, 2]
    assert {handle.state for handle in jobs.query} == {JobState.SUCCEEDED}


@pytest.mark.parametrize("awaited", [False, True])
def test_an_error_that_cannot_be_looked_at_is_an_error(jobs: Longshore, *, awaited: bool) -> None:
    class Evil(Exception):
        @property
        def __class__(self) -> Any:
            raise ZeroDivisionError

    def bad() -> None:
        raise Evil

    async def abad() -> None:
        raise Evil

    handle = jobs.job(kind="bad", max_attempts=1)(abad if awaited else bad).enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    assert handle.refresh().state is JobState.DEAD
    assert "ZeroDivisionError" in (handle.runs[0].message or "")


def test_tasks_that_bodies_leave_behind_come_to_their_end(jobs: Longshore) -> None:
    cleaned = threading.Event()
    left: list[asyncio.Task[None]] = []

    async def lingers() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.set()

    @jobs.job(kind="leaves")
    async def leaves() -> None:
        left.append(asyncio.create_task(lingers()))
        await asyncio.sleep(0)

    leaves.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    assert cleaned.wait(10)


# --- verdicts ---


def test_the_time_that_listeners_take_is_none_of_the_jobs(jobs: Longshore) -> None:
    @jobs.on("job.started")
    def slow(_event: Event) -> None:
        time.sleep(0.3)

    @jobs.job(kind="short", timeout="200ms", max_attempts=1)
    def short() -> str:
        return "in time"

    @jobs.job(kind="long", timeout="200ms", max_attempts=1)
    def long() -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            time.sleep(0.01)

    handles = [short.enqueue(), long.enqueue()]
    jobs.worker(threads=1).run(until_empty=True)
    assert handles[0].result(timeout=1) == "in time"
    assert handles[1].refresh().state is JobState.DEAD


def test_the_first_verdict_is_how_a_run_ends(jobs: Longshore) -> None:
    begun, go_on = threading.Event(), threading.Event()

    @jobs.job(kind="late", timeout="100ms", max_attempts=1)
    def late() -> None:
        try:
            while True:
                time.sleep(0.01)
        finally:
            begun.set()
            while not go_on.wait(0.01):
                pass

    handle = late.enqueue()
    with jobs.worker(threads=1, shutdown_timeout=10).running():
        assert begun.wait(10)
        handle.cancel()
        time.sleep(1.5)  # a beat hears of it
        go_on.set()
        handle.wait(timeout=10)
    assert [run.why for run in handle.refresh().runs] == [Why.TIMED_OUT]


def test_a_run_that_was_late_before_its_worker_stopped_was_late(tmp_path: Path) -> None:
    app = Longshore(f"sqlite:///{tmp_path}/jobs.db")
    begun, free = threading.Event(), threading.Event()

    @app.job(kind="late", timeout="100ms", backoff=NOW)
    def late() -> None:
        try:
            while True:
                time.sleep(0.01)
        finally:
            begun.set()
            while not free.wait(0.01):
                pass

    with app.worker(threads=1, shutdown_timeout=0).running():
        handle = late.enqueue()
        assert begun.wait(10)
    assert [run.why for run in handle.refresh().runs] == [Why.TIMED_OUT]
    free.set()
    app.close()
