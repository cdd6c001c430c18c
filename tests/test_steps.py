"""What a job does only once: steps and loops over several runs, logs, and where it stops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from longshore import (
    CONTEXT,
    JobContext,
    JobDead,
    JobState,
    Longshore,
    LongshoreError,
    UnstorableResult,
)
from longshore.core.steps import MAX_STEP, MAX_STEPS
from tests.worker_tools import NOW, drain_due, eventually

T = TypeVar("T")


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    app = Longshore(url)
    yield app
    app.close()


@dataclass
class Charge:
    id: str
    at: datetime


def charge(calls: list[str], number: int) -> Charge:
    calls.append(f"charge {number}")
    return Charge(f"ch-{number}", datetime(2026, 5, 1, tzinfo=UTC))


def counted(calls: list[Any], value: T) -> Callable[[], T]:
    """A step that notes its value and returns it."""

    def call() -> T:
        calls.append(value)
        return value

    return call


def failing_once(ctx: JobContext, text: str = "the first attempt fails") -> None:
    if ctx.attempt == 1:
        raise RuntimeError(text)


# --- steps ----------------------------------------------------------------------------------------


def test_a_step_is_done_once_and_its_value_comes_back_as_annotated(jobs: Longshore) -> None:
    calls: list[str] = []
    got: list[Charge] = []

    @jobs.job(kind="order", backoff=NOW)
    def order(number: int, ctx: JobContext = CONTEXT) -> str:
        one = ctx.step("charge", charge, calls, number)
        got.append(one)
        failing_once(ctx)
        return ctx.step("ship", counted(calls, "shipped"))

    handle = order.enqueue(7)
    drain_due(jobs)
    assert handle.result(timeout=5) == "shipped"
    assert calls == ["charge 7", "shipped"]
    assert got == [Charge("ch-7", datetime(2026, 5, 1, tzinfo=UTC))] * 2


def test_what_a_step_returns_is_what_was_stored_on_the_first_run_too(jobs: Longshore) -> None:
    @jobs.job(kind="pair")
    def pair(ctx: JobContext = CONTEXT) -> list[bool]:
        def annotated() -> tuple[int, str]:
            return (1, "a")

        given = {"a": [2]}
        loose = ctx.step("loose", lambda: given)
        return [loose == given and loose is not given, ctx.step("tuple", annotated) == (1, "a")]

    handle = pair.enqueue()
    jobs.worker().run(until_empty=True)
    assert handle.result(timeout=5) == [True, True]


def test_coroutines_have_steps_too(jobs: Longshore) -> None:
    calls: list[int] = []

    async def fetch(number: int) -> timedelta:
        calls.append(number)
        await asyncio.sleep(0)
        return timedelta(seconds=number)

    @jobs.job(kind="gather", backoff=NOW)
    async def gather(ctx: JobContext = CONTEXT) -> float:
        found = await asyncio.gather(*(ctx.astep(f"fetch {n}", fetch, n) for n in range(5)))
        failing_once(ctx)
        await ctx.acheckpoint()
        return sum(found, timedelta()).total_seconds()

    handle = gather.enqueue()
    drain_due(jobs)
    assert handle.result(timeout=5) == 10.0
    assert sorted(calls) == [0, 1, 2, 3, 4]


def test_a_step_that_raises_is_not_saved(jobs: Longshore) -> None:
    calls: list[int] = []

    @jobs.job(kind="flaky", backoff=NOW)
    def flaky(ctx: JobContext = CONTEXT) -> int:
        def part() -> int:
            calls.append(ctx.attempt)
            failing_once(ctx)
            return ctx.attempt

        return ctx.step("part", part)

    handle = flaky.enqueue()
    drain_due(jobs)
    assert (handle.result(timeout=5), calls) == (2, [1, 2])


def test_a_step_that_raised_may_be_tried_again_in_the_same_run(jobs: Longshore) -> None:
    calls: list[str] = []

    def part(value: Any) -> Any:
        calls.append(str(value))
        if value == "raises":
            raise TimeoutError
        return value

    @jobs.job(kind="stubborn", max_attempts=1)
    def stubborn(ctx: JobContext = CONTEXT) -> int:
        for value in ("raises", {1, 2}, 3):
            try:
                return int(ctx.step("part", part, value))
            except (TimeoutError, UnstorableResult):
                continue
        return 0

    @jobs.job(kind="awaiting", max_attempts=1)
    async def awaiting(ctx: JobContext = CONTEXT) -> int:
        try:
            async with asyncio.timeout(0.001):
                await ctx.astep("part", asyncio.sleep, 60)
        except TimeoutError:
            return await ctx.astep("part", coroutine)
        return 0

    handles = [stubborn.enqueue(), awaiting.enqueue()]
    drain_due(jobs)
    assert [handle.result(timeout=5) for handle in handles] == [3, 1]
    assert calls == ["raises", "{1, 2}", "3"]


def test_a_retry_by_a_person_keeps_steps(jobs: Longshore) -> None:
    calls: list[int] = []
    healthy = threading.Event()

    @jobs.job(kind="order", max_attempts=1)
    def order(ctx: JobContext = CONTEXT) -> int:
        number = ctx.step("charge", counted(calls, 1))
        if not healthy.is_set():
            raise RuntimeError("the shipping service is down")
        return number

    handle = order.enqueue()
    jobs.worker().run(until_empty=True)
    with pytest.raises(JobDead):
        handle.result(timeout=5)
    healthy.set()
    assert handle.retry()
    jobs.worker().run(until_empty=True)
    assert (handle.result(timeout=5), calls) == (1, [1])


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda ctx: [ctx.step("a", int), ctx.step("a", int)], r"this run has a step 'a' already"),
        (lambda ctx: ctx.step("", int), r"'' cannot be the name of a step. Use 1 to 200"),
        (lambda ctx: ctx.step("x" * 201, int), r"\(201 long\) cannot be the name"),
        (lambda ctx: ctx.step("a\0", int), r"cannot be the name of a step"),
        (lambda ctx: ctx.step("a\ud800", int), r"cannot be the name of a step"),
        (
            lambda ctx: [ctx.step(f"s{n}", int) for n in range(MAX_STEPS + 1)],
            r"'s1000' would be one more than 1000 steps",
        ),
        (lambda ctx: ctx.step("a", lambda: "x" * MAX_STEP), r"step 'a'.* takes 1048578 bytes"),
        (lambda ctx: ctx.step("a", lambda: float("nan")), r"step 'a': value"),
        (lambda ctx: ctx.step("a", object), r"step 'a': value"),
        (lambda ctx: ctx.step("a", lambda: (1, 2)), r"step 'a': value .* annotate"),
        (lambda ctx: ctx.step("a", coroutine), r"step 'a' is a coroutine: `await ctx.astep"),
        (
            lambda ctx: list(ctx.iterate("a", asynchronous, start=0)),
            r"the source of 'a' is asynchronous; write `async for",
        ),
        (lambda ctx: list(ctx.iterate("a", odd, start=0)), r"loop 'a': value"),
        (
            lambda ctx: list(ctx.iterate("a", lambda _: [7], start=0)),  # type: ignore[arg-type,return-value,list-item]
            r"source of 'a' yielded 7. It has to yield pairs",
        ),
        (
            lambda ctx: list(ctx.iterate("a", awaited_rows, start=0)),
            r"source of 'a' returned <coroutine .* It has to yield pairs",
        ),
        (
            lambda ctx: [ctx.step("a", int), list(ctx.iterate("a", odd, start=0))],
            r"this run has a step 'a' already",
        ),
    ],
)
def test_a_step_that_cannot_be_is_refused_and_says_why(
    jobs: Longshore, use: Any, message: str
) -> None:
    @jobs.job(kind="bad", max_attempts=1)
    def bad(ctx: JobContext = CONTEXT) -> None:
        use(ctx)

    handle = bad.enqueue()
    jobs.worker().run(until_empty=True)
    with pytest.raises(JobDead, match=message):
        handle.result(timeout=30)
    assert handle.id in (handle.error or "")


async def coroutine() -> int:
    return 1


async def awaited_rows(cursor: int) -> list[tuple[int, int]]:
    return [(cursor, cursor)]


async def asynchronous(cursor: int) -> AsyncIterator[tuple[int, int]]:
    for number in range(cursor, 20):
        yield number + 1, number


def odd(cursor: int) -> Iterator[tuple[Any, int]]:
    yield object(), cursor


def test_a_step_that_became_a_loop_is_refused(jobs: Longshore) -> None:
    @jobs.job(kind="changed", max_attempts=2, backoff=NOW)
    def changed(ctx: JobContext = CONTEXT) -> None:
        if ctx.attempt == 1:
            ctx.step("rows", int)
            raise RuntimeError
        list(ctx.iterate("rows", numbers, start=0))

    handle = changed.enqueue()
    drain_due(jobs)
    with pytest.raises(JobDead, match="'rows' was saved as a step and is a loop now"):
        handle.result(timeout=5)


def test_a_step_whose_annotation_has_changed_says_so(jobs: Longshore) -> None:
    @jobs.job(kind="changed", max_attempts=2, backoff=NOW)
    def changed(ctx: JobContext = CONTEXT) -> None:
        if ctx.attempt == 1:
            ctx.step("date", lambda: "soon")
            raise RuntimeError

        def date() -> datetime:
            return datetime.now(UTC)

        ctx.step("date", date)

    handle = changed.enqueue()
    drain_due(jobs)
    with pytest.raises(JobDead, match=r"step 'date': its stored value .*give it a new name"):
        handle.result(timeout=5)


def test_a_run_that_lost_its_job_saves_nothing(jobs: Longshore) -> None:
    outcome: list[str] = []
    taken = threading.Event()

    @jobs.job(kind="zombie", max_attempts=1)
    def zombie(ctx: JobContext = CONTEXT) -> None:
        if ctx.run > 1:
            taken.set()
            return

        def slow() -> int:
            release(jobs, ctx)
            return 1

        try:
            ctx.step("slow", slow)
        except LongshoreError as error:
            outcome.append(type(error).__name__)
            try:
                ctx.step("next", lambda: outcome.append("next was done"))
            except LongshoreError as again:
                outcome.append(type(again).__name__)
            raise

    handle = zombie.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    eventually(lambda: handle.refresh().state is JobState.SUCCEEDED)
    assert outcome == ["LeaseLost", "LeaseLost"]
    assert jobs.client.store.run(jobs.client.store.steps([handle.id])) == {}


def release(jobs: Longshore, ctx: JobContext) -> None:
    """Take a running job from its process, as a rescue does."""
    from longshore.core.store import Rescue

    store = jobs.client.store
    record = store.run(store.get([str(ctx.id)]))[str(ctx.id)]
    store.run(store.rescue(Rescue(record.claimed_by)))


def test_outside_a_job_steps_are_just_done() -> None:
    assert CONTEXT.step("pair", lambda: [1, 2]) == [1, 2]
    assert asyncio.run(CONTEXT.astep("one", coroutine)) == 1
    assert list(CONTEXT.iterate("numbers", numbers, start=97)) == [97, 98, 99]
    CONTEXT.checkpoint()
    asyncio.run(CONTEXT.acheckpoint())


# --- loops ----------------------------------------------------------------------------------------


def numbers(cursor: int) -> Iterator[tuple[int, int]]:
    for number in range(cursor, 100):
        yield number + 1, number


def test_a_loop_goes_on_where_the_last_attempt_failed(jobs: Longshore) -> None:
    seen: list[int] = []

    @jobs.job(kind="rows", backoff=NOW)
    def rows(ctx: JobContext = CONTEXT) -> int:
        for number in ctx.iterate("rows", numbers, start=10):
            if number == 40:
                failing_once(ctx)
            seen.append(number)
        return len(list(ctx.iterate("again", numbers, start=99)))

    handle = rows.enqueue()
    drain_due(jobs)
    assert handle.result(timeout=5) == 1
    assert seen == list(range(10, 100))


def test_a_loop_that_has_ended_does_not_begin_again(jobs: Longshore) -> None:
    seen: list[int] = []

    @jobs.job(kind="rows", backoff=NOW)
    def rows(ctx: JobContext = CONTEXT) -> None:
        seen.extend(ctx.iterate("rows", numbers, start=90))
        failing_once(ctx)

    handle = rows.enqueue()
    drain_due(jobs)
    handle.result(timeout=5)
    assert seen == list(range(90, 100))


def test_coroutines_have_loops_over_both_sorts_of_sources(jobs: Longshore) -> None:
    seen: list[tuple[str, int]] = []

    @jobs.job(kind="rows", backoff=NOW)
    async def rows(ctx: JobContext = CONTEXT) -> None:
        async for number in ctx.iterate("a", asynchronous, start=0):
            seen.append(("a", number))
            if number == 9:
                failing_once(ctx)
        seen.extend([("b", number) async for number in ctx.iterate("b", numbers, start=98)])

    handle = rows.enqueue()
    drain_due(jobs)
    handle.result(timeout=5)
    # The item that failed comes again.
    assert [number for sort, number in seen if sort == "a"] == [*range(10), *range(9, 20)]
    assert [number for sort, number in seen if sort == "b"] == [98, 99]


def test_a_cursor_comes_back_as_it_was_given(jobs: Longshore) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    days: list[datetime] = []
    pairs: list[object] = []

    def days_after(cursor: datetime) -> Iterator[tuple[datetime, datetime]]:
        while cursor < begin + timedelta(days=4):
            cursor += timedelta(days=1)
            yield cursor, cursor

    def pairs_after(cursor):  # type: ignore[no-untyped-def]
        pairs.append(cursor)
        yield (cursor[0] + 1, "x"), None

    @jobs.job(kind="days", backoff=NOW)
    def by_days(ctx: JobContext = CONTEXT) -> None:
        for day in ctx.iterate("days", days_after, start=begin):
            if len(days) == 2:
                failing_once(ctx)
            days.append(day)
        for _ in ctx.iterate("pairs", pairs_after, start=(0, "")):
            pass

    handle = by_days.enqueue()
    drain_due(jobs)
    handle.result(timeout=5)
    assert days == [begin + timedelta(days=n) for n in (1, 2, 3, 4)]
    assert pairs == [(0, "")]


def test_a_loop_stops_between_items_when_its_worker_stops(jobs: Longshore) -> None:
    seen: list[int] = []
    begun = threading.Event()

    def slowly(cursor: int) -> Iterator[tuple[int, int]]:
        for number in range(cursor, 400):
            begun.set()
            threading.Event().wait(0.005)
            yield number + 1, number

    @jobs.job(kind="rows")
    def rows(ctx: JobContext = CONTEXT) -> int:
        seen.extend(ctx.iterate("rows", slowly, start=0))
        return ctx.failures

    handle = rows.enqueue()
    with jobs.worker(threads=1, shutdown_timeout=10).running():
        begun.wait(10)
        eventually(lambda: len(seen) > 20)
    assert 20 < len(seen) < 400
    record = handle.refresh().record
    assert (record.state, record.failures, record.interruptions) == (JobState.AVAILABLE, 0, 0)
    jobs.worker(threads=1).run(until_empty=True)
    assert handle.result(timeout=5) == 0
    assert seen == list(range(400))


def test_a_loop_stops_between_items_when_its_job_is_cancelled(jobs: Longshore) -> None:
    begun = threading.Event()
    stopped: list[str] = []

    def for_ever(cursor: int) -> Iterator[tuple[int, int]]:
        while True:
            cursor += 1
            yield cursor, cursor

    @jobs.job(kind="rows")
    async def rows(ctx: JobContext = CONTEXT) -> None:
        try:
            async for _ in ctx.iterate("rows", for_ever, start=0):
                begun.set()
                await asyncio.sleep(0)
        except BaseException as error:
            stopped.append(type(error).__name__)
            raise

    handle = rows.enqueue()
    with jobs.worker(threads=1).running():
        begun.wait(10)
        handle.cancel("no longer needed")
        eventually(lambda: handle.refresh().state is JobState.CANCELLED)
    assert stopped


def test_a_checkpoint_saves_how_far_a_loop_is(jobs: Longshore) -> None:
    saved: list[bytes] = []

    @jobs.job(kind="rows")
    def rows(ctx: JobContext = CONTEXT) -> None:
        store = jobs.client.store
        for number in ctx.iterate("rows", numbers, start=97):
            ctx.checkpoint()
            steps = store.run(store.steps([str(ctx.id)])).get(str(ctx.id), ())
            saved.extend(step.value for step in steps)
            assert number >= 97

    handle = rows.enqueue()
    jobs.worker().run(until_empty=True)
    handle.result(timeout=5)
    assert [b'"at":%d' % at in value for at, value in zip((98, 99), saved, strict=True)] == [
        True
    ] * 2
