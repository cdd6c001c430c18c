"""The class form of a job: the same verbs and options, an instance for each attempt."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import (
    CONTEXT,
    Discard,
    DuplicateJob,
    InvalidOption,
    InvalidPriority,
    Job,
    JobContext,
    JobState,
    Longshore,
    NotAJobFunction,
    constant,
    retry_on,
)
from longshore.core.registry import Isolation


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


def work(jobs: Longshore) -> None:
    jobs.worker(threads=1).run(until_empty=True)


def test_options_are_class_attributes(jobs: Longshore) -> None:
    class Convert(Job, app=jobs):
        kind = "images.convert"
        aliases = ("convert",)
        queue = "images"
        priority = 7
        max_attempts = 3
        backoff = constant(5, jitter=0)
        errors = (retry_on(OSError),)
        timeout = "30s"
        expires = 60
        isolation = "process"
        keep_result = None
        tags = ("slow",)

        def perform(self, path: Path, width: int = 100) -> Path:
            return path / str(width)

    made = Convert.bind(Path("x")).declaration
    assert (made.kind, made.aliases, made.queue) == ("images.convert", ("convert",), "images")
    assert (made.priority, made.max_attempts, made.isolation) == (7, 3, Isolation.PROCESS)
    assert (made.timeout, made.expires, made.keep_result) == (30_000_000, 60_000_000, None)
    assert made.tags == ("slow",)
    assert made.policies.backoff.wait(1, OSError(), lambda: 0.0) == 5.0
    assert len(made.policies.errors) == 1
    assert made.job_class is Convert
    assert jobs.registry.find("convert") is made


def test_it_is_enqueued_like_a_function_and_runs(jobs: Longshore) -> None:
    class Convert(Job, app=jobs):
        kind = "convert"

        def perform(self, path: Path, width: int) -> Path:
            return path / str(width)

    one = Convert.enqueue(Path("a"), 1)
    two = asyncio.run(Convert.aenqueue(Path("b"), width=2))
    three = Convert.using(queue="vip").enqueue(Path("c"), 3)
    (four,) = jobs.enqueue_many([Convert.bind(Path("d"), 4)])
    assert three.record.queue == "vip"
    work(jobs)
    results = [handle.result(timeout=5) for handle in (one, two, three, four)]
    assert results == [Path("a/1"), Path("b/2"), Path("c/3"), Path("d/4")]
    assert Convert().perform(Path("e"), 5) == Path("e/5"), "a plain call"
    assert Convert.using(queue="vip")(Path("f"), 6) == Path("f/6")


def test_an_async_class_runs_in_the_loop(jobs: Longshore) -> None:
    class Fetch(Job, app=jobs):
        kind = "fetch"

        async def perform(self, url: str) -> str | None:
            await asyncio.sleep(0)
            return self.context.id

    handle = Fetch.enqueue("x")
    assert Fetch.bind("x").declaration.isolation is Isolation.ASYNC
    work(jobs)
    assert handle.result(timeout=5) == handle.id
    assert asyncio.run(Fetch().perform("x")) is None, "detached in a plain call"


def test_each_attempt_has_an_instance_and_a_context_of_its_own(jobs: Longshore) -> None:
    seen: list[Job] = []

    class Flaky(Job, app=jobs):
        kind = "flaky"
        backoff = constant(0, jitter=0)

        def perform(self, ctx: JobContext = CONTEXT) -> tuple[str | None, int]:
            seen.append(self)
            assert ctx is self.context
            if self.context.attempt == 1:
                raise ValueError("once")
            return ctx.id, ctx.attempt

    handle = Flaky.enqueue()
    work(jobs)
    assert handle.result(timeout=5) == (handle.id, 2)
    assert len({id(one) for one in seen}) == 2


def test_options_are_inherited_and_names_are_not(jobs: Longshore) -> None:
    class Base(Job):
        queue = "images"
        max_attempts = 3

        def perform(self) -> str:
            return type(self).__name__

    class One(Base, app=jobs):
        kind = "one"
        aliases = ("uno",)

    class Two(One, app=jobs):
        kind = "two"
        max_attempts = 5

    one, two = One.bind().declaration, Two.bind().declaration
    assert (one.kind, one.queue, one.max_attempts) == ("one", "images", 3)
    assert (two.kind, two.queue, two.max_attempts) == ("two", "images", 5)
    assert (one.aliases, two.aliases) == (("uno",), ())


def test_an_abstract_class_may_be_looked_at_but_not_enqueued(jobs: Longshore) -> None:
    class Base(Job):
        def perform(self) -> None: ...

    class Concrete(Base, app=jobs):
        kind = "concrete"

    class Below(Concrete):
        pass

    for owner in (Job, Base, Below):
        for verb in ("enqueue", "aenqueue", "bind", "using"):
            assert hasattr(owner, verb)
            with pytest.raises(NotAJobFunction, match=rf"{owner.__qualname__}.*app="):
                getattr(owner, verb)()


# --- hooks --------------------------------------------------------------------------------------


def test_before_enqueue_sees_checked_arguments_and_may_refuse(jobs: Longshore) -> None:
    seen: list[tuple[Any, ...]] = []

    class Paid(Job, app=jobs):
        kind = "paid"

        @classmethod
        def before_enqueue(cls, amount: int) -> None:
            seen.append((cls, amount))
            if amount < 0:
                raise ValueError("a negative amount")

        def perform(self, amount: int) -> None: ...

    Paid.enqueue(5)
    Paid.using(queue="vip").enqueue(6)
    asyncio.run(Paid.aenqueue(7))
    assert seen == [(Paid, 5), (Paid, 6), (Paid, 7)]
    with pytest.raises(ValueError, match="negative"):
        Paid.enqueue(-1)
    with pytest.raises(ValueError, match="negative"):
        jobs.enqueue_many(Paid.bind(amount) for amount in (1, -1))
    assert jobs.query.count() == 3


def test_around_perform_goes_around_the_body(jobs: Longshore) -> None:
    steps: list[str] = []

    class Base(Job):
        def around_perform(self) -> Iterator[None]:
            steps.append(f"before {self.context.kind}")
            try:
                yield
            finally:
                steps.append("after")

    class Sync(Base, app=jobs):
        kind = "sync"

        def perform(self) -> None:
            steps.append("body")

    class Async(Base, app=jobs):
        kind = "async"

        async def perform(self) -> None:
            await asyncio.sleep(0)
            steps.append("body")

    class Failing(Base, app=jobs):
        kind = "failing"

        def perform(self) -> None:
            raise Discard("enough")

    for owner, expected in (
        (Sync, ["before sync", "body", "after"]),
        (Async, ["before async", "body", "after"]),
        (Failing, ["before failing", "after"]),
    ):
        steps.clear()
        owner.enqueue()
        work(jobs)
        assert steps == expected


def test_around_perform_cannot_hide_an_error(jobs: Longshore) -> None:
    class Hiding(Job, app=jobs):
        kind = "hiding"
        max_attempts = 1

        def around_perform(self) -> Iterator[None]:
            with contextlib.suppress(ValueError):
                yield

        def perform(self) -> None:
            raise ValueError("not to be hidden")

    handle = Hiding.enqueue()
    work(jobs)
    assert handle.refresh().state is JobState.DEAD
    assert handle.error == "ValueError: not to be hidden"


def test_hooks_of_another_form_are_refused(jobs: Longshore) -> None:
    with pytest.raises(NotAJobFunction, match=r"before_enqueue.*classmethod"):

        class Instance(Job, app=jobs):
            kind = "instance"

            def before_enqueue(self) -> None: ...
            def perform(self) -> None: ...

    with pytest.raises(NotAJobFunction, match=r"around_perform.*generator"):

        class NoGenerator(Job, app=jobs):
            kind = "no generator"

            def around_perform(self) -> None: ...
            def perform(self) -> None: ...

    assert len(jobs.registry) == 0


# --- what is refused ----------------------------------------------------------------------------


def test_a_class_without_perform_is_refused(jobs: Longshore) -> None:
    with pytest.raises(NotAJobFunction, match=r"Empty.*perform"):

        class Empty(Job, app=jobs):
            kind = "empty"


def test_a_nested_class_needs_a_kind(jobs: Longshore) -> None:
    with pytest.raises(NotAJobFunction, match="kind="):

        class Nested(Job, app=jobs):
            def perform(self) -> None: ...


def test_a_generator_is_refused(jobs: Longshore) -> None:
    with pytest.raises(NotAJobFunction, match="generator"):

        class Yields(Job, app=jobs):
            kind = "yields"

            def perform(self) -> Iterator[int]:
                yield 1


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("priority", "high", InvalidPriority),
        ("max_attempts", 0, InvalidOption),
        ("timeout", "5", InvalidOption),
        ("isolation", "fork", InvalidOption),
        ("tags", 5, InvalidOption),
        ("errors", [OSError], InvalidOption),
    ],
)
def test_a_wrong_option_is_refused(
    jobs: Longshore, name: str, value: object, error: type[Exception]
) -> None:
    body = {"kind": "app.work", name: value, "perform": lambda self: None}
    with pytest.raises(error, match=rf"app\.work.*{name}"):
        type("Wrong", (Job,), body, app=jobs)
    assert len(jobs.registry) == 0


def test_two_classes_under_one_name_are_refused(jobs: Longshore) -> None:
    class One(Job, app=jobs):
        kind = "same"

        def perform(self) -> None: ...

    with pytest.raises(DuplicateJob, match=r"'same'.*One.*Two"):

        class Two(Job, app=jobs):
            kind = "same"

            def perform(self) -> None: ...
