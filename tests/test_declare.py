"""What a declaration accepts, what it refuses, and the record that it makes."""

from __future__ import annotations

import asyncio
import functools
import runpy
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from longshore import (
    CONTEXT,
    DeclarationError,
    DuplicateJob,
    InvalidOption,
    InvalidPriority,
    InvalidQueueName,
    JobContext,
    Longshore,
    NotAJobFunction,
    UnknownJob,
    constant,
    discard_on,
    retry_on,
)
from longshore.core.registry import Isolation
from longshore.declare import JobOptions


@pytest.fixture
def jobs() -> Longshore:
    return Longshore("memory://")


def plain(number: int = 1, *, text: str = "") -> str:
    """What it does."""
    return f"{number}{text}"


async def awaited(number: int) -> int:
    return number


def test_a_declaration_has_the_defaults_of_the_contract(jobs: Longshore) -> None:
    made = jobs.job(plain).declaration
    assert made.kind == f"{__name__}.plain"
    assert (made.queue, made.priority, made.max_attempts) == ("default", 0, 25)
    assert (made.timeout, made.expires, made.tags, made.aliases) == (None, None, (), ())
    assert made.keep_result == 86_400_000_000
    assert made.isolation is Isolation.THREAD
    assert made.policies.errors == ()
    assert made.policies.backoff.wait(1, ValueError(), lambda: 0.0) == 15.0
    assert made.context is None


def test_every_option_is_kept_in_its_stored_form(jobs: Longshore) -> None:
    rules = [retry_on(OSError, wait=3), discard_on(KeyError)]
    made = jobs.job(
        kind="app.work",
        aliases=["app.old"],
        queue="mail.bulk",
        priority=-5,
        max_attempts=3,
        backoff=constant(7, jitter=0),
        errors=rules,
        timeout="1h30m",
        expires=timedelta(days=2),
        isolation="process",
        keep_result=None,
        tags=["eu", "import"],
    )(plain).declaration
    assert (made.kind, made.aliases, made.queue) == ("app.work", ("app.old",), "mail.bulk")
    assert (made.priority, made.max_attempts, made.isolation) == (-5, 3, Isolation.PROCESS)
    assert made.policies.backoff.wait(1, ValueError(), lambda: 0.0) == 7.0
    assert made.policies.errors == tuple(rules)
    assert (made.timeout, made.expires) == (5_400_000_000, 172_800_000_000)
    assert (made.keep_result, made.tags) == (None, ("eu", "import"))
    assert jobs.registry.find("app.old") is made


def test_the_default_queue_is_a_setting() -> None:
    jobs = Longshore("memory://", default_queue="work")
    assert jobs.job(plain).declaration.queue == "work"
    assert jobs.job(queue="mail", kind="other")(plain).declaration.queue == "mail"


def test_a_job_stays_what_it_was(jobs: Longshore) -> None:
    job = jobs.job(plain)
    assert job(3, text="x") == "3x"
    assert (job.__name__, job.__doc__, job.__module__) == ("plain", "What it does.", __name__)
    assert job.__wrapped__ is plain
    assert job.kind in repr(job)
    again = jobs.job(kind="again")(awaited)
    assert asyncio.run(again(3)) == 3
    assert again.declaration.isolation is Isolation.ASYNC


# --- the context --------------------------------------------------------------------------------


def test_a_plain_call_gets_a_detached_context(jobs: Longshore) -> None:
    @jobs.job(kind="first", context=True)
    def first(ctx: JobContext, number: int) -> str | None:
        ctx.progress(1, 2)
        ctx.checkpoint()
        return ctx.id or str(number)

    @jobs.job(kind="default")
    def default(number: int, ctx: JobContext = CONTEXT) -> str | None:
        return ctx.id or str(number)

    @jobs.job(kind="named")
    def named(number: int, *, ctx: JobContext = CONTEXT) -> str | None:
        return ctx.id or str(number)

    assert (first(7), default(7), named(7)) == ("7", "7", "7")
    assert first.declaration.context == ""
    assert default.declaration.context == "ctx"
    assert named.declaration.context == "ctx"
    for job in (first, default, named):
        assert job.bind(7).payload == b'{"v":1,"args":[],"kwargs":{"number":7}}'


def test_a_wrapped_function_keeps_its_context(jobs: Longshore) -> None:
    def traced(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return inner

    @jobs.job(kind="wrapped")
    @traced
    def wrapped(number: int, ctx: JobContext = CONTEXT) -> int:
        return number

    assert wrapped.declaration.context == "ctx"
    assert wrapped.bind(7).payload == b'{"v":1,"args":[],"kwargs":{"number":7}}'


def test_a_context_without_its_default_is_told_of(jobs: Longshore) -> None:
    def forgot(number: int, ctx: JobContext) -> None: ...

    with pytest.raises(DeclarationError, match=r"`ctx: JobContext`.*CONTEXT"):
        jobs.job(kind="forgot")(forgot)
    assert len(jobs.registry) == 0


# --- names --------------------------------------------------------------------------------------


def test_a_partial_and_a_callable_object_need_a_name(jobs: Longshore) -> None:
    class Adder:
        async def __call__(self, number: int) -> int:
            return number + 1

    with pytest.raises(NotAJobFunction, match="kind="):
        jobs.job(functools.partial(plain, 1))
    with pytest.raises(NotAJobFunction, match="kind="):
        jobs.job(Adder())
    adder = jobs.job(kind="adder")(Adder())
    assert adder.declaration.isolation is Isolation.ASYNC
    bound = jobs.job(kind="partial")(functools.partial(awaited, 1))
    assert bound.declaration.isolation is Isolation.ASYNC


def test_main_goes_by_the_name_of_its_file(tmp_path: Path) -> None:
    script = tmp_path / "nightly.py"
    script.write_text(
        "from longshore import Longshore\n"
        "jobs = Longshore('memory://')\n"
        "@jobs.job\n"
        "def report(): ...\n"
        "class Sweep(__import__('longshore').Job, app=jobs):\n"
        "    def perform(self): ...\n"
        "print(sorted(jobs.registry.names()))\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "['nightly.Sweep', 'nightly.report']"
    # Imported, the same file keeps the same names: the worker imports what the script enqueued.
    names = runpy.run_path(str(script), run_name="nightly")["jobs"].registry.names()
    assert names == ("nightly.Sweep", "nightly.report")


def test_two_jobs_under_one_name_are_refused_naming_both_places(jobs: Longshore) -> None:
    jobs.job(kind="same")(plain)
    with pytest.raises(DuplicateJob, match=r"'same'.*test_declare.py:\d+.*test_declare.py:\d+"):
        jobs.job(kind="same")(awaited)
    with pytest.raises(DuplicateJob, match="'same'"):
        jobs.job(kind="other", aliases=("same",))(awaited)
    jobs.job(kind="taken", aliases=("older",))(plain)
    with pytest.raises(DuplicateJob, match="'older'"):
        jobs.job(kind="older")(awaited)
    assert jobs.registry.find("other") is None, "a refused declaration leaves nothing behind"


def test_the_same_function_may_be_declared_again(jobs: Longshore) -> None:
    jobs.job(kind="same", aliases=("before", "long_before"))(plain)
    newer = jobs.job(kind="same", queue="mail", aliases=("before",))(plain)
    assert jobs.registry.find("same") is newer.declaration
    assert jobs.registry.find("before") is newer.declaration
    assert jobs.registry.find("long_before") is None
    assert len(jobs.registry) == 1


def test_an_unknown_kind_suggests_the_nearest(jobs: Longshore) -> None:
    jobs.job(kind="app.send_welcome")(plain)
    with pytest.raises(UnknownJob, match=r"'app.send_welcom'.*app.send_welcome\?"):
        jobs.registry.resolve("app.send_welcom")
    assert jobs.registry.find("app.send_welcom") is None


def test_the_digest_names_the_list_of_kinds(jobs: Longshore) -> None:
    other = Longshore("memory://")
    jobs.job(kind="a")(plain)
    jobs.job(kind="b")(awaited)
    other.job(kind="b")(awaited)
    assert jobs.registry.digest() != other.registry.digest()
    other.job(kind="a")(plain)
    assert jobs.registry.digest() == other.registry.digest()
    other.job(kind="c", aliases=("d",))(plain)
    assert jobs.registry.digest() != other.registry.digest()


# --- what is refused ----------------------------------------------------------------------------


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


class AClass:
    def method(self) -> None: ...


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (lambda: None, "kind="),
        (generator, "generator"),
        (async_generator, "generator"),
        (AClass, r"Job, app=jobs"),
        ("send", r"not a function"),
        (5, r"not a function"),
    ],
)
def test_what_cannot_be_a_job(jobs: Longshore, target: Any, told: str) -> None:
    with pytest.raises(NotAJobFunction, match=told):
        jobs.job(target)
    assert len(jobs.registry) == 0


def test_a_nested_function_needs_a_kind(jobs: Longshore) -> None:
    def nested() -> None: ...

    with pytest.raises(NotAJobFunction, match=r"nested.*kind="):
        jobs.job(nested)
    assert jobs.job(kind="nested")(nested).kind == "nested"
    assert jobs.job(kind="anonymous")(lambda: None).kind == "anonymous"


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"kind": ""}, InvalidOption, r"kind="),
        ({"kind": "x" * 201}, InvalidOption, r"kind=.*200"),
        ({"kind": "a\nb"}, InvalidOption, r"kind="),
        ({"kind": 5}, InvalidOption, r"kind=5"),
        ({"aliases": "old"}, InvalidOption, r"aliases='old'"),
        ({"aliases": [""]}, InvalidOption, r"alias=''"),
        ({"queue": "a b"}, InvalidQueueName, r"queue='a b'"),
        ({"queue": 7}, InvalidQueueName, r"queue=7"),
        ({"priority": 32_768}, InvalidPriority, r"priority=32768.*32767"),
        ({"priority": True}, InvalidPriority, r"priority=True"),
        ({"max_attempts": 0}, InvalidOption, r"max_attempts=0.*from 1"),
        ({"max_attempts": "3"}, InvalidOption, r"max_attempts='3'"),
        ({"backoff": "soon"}, InvalidOption, r"backoff='soon'"),
        ({"backoff": awaited}, InvalidOption, r"backoff="),
        ({"errors": [TimeoutError]}, InvalidOption, r"errors=.*retry_on"),
        ({"errors": "all"}, InvalidOption, r"errors='all'"),
        ({"timeout": 0}, InvalidOption, r"timeout=0"),
        ({"timeout": "5"}, InvalidOption, r"timeout='5'"),
        ({"timeout": float("nan")}, InvalidOption, r"timeout=nan"),
        ({"expires": -1}, InvalidOption, r"expires=-1"),
        ({"isolation": "fork"}, InvalidOption, r"isolation='fork'.*process"),
        ({"isolation": "async"}, InvalidOption, r"ordinary function.*isolation='async'"),
        ({"keep_result": -1}, InvalidOption, r"keep_result=-1"),
        ({"tags": "eu"}, InvalidOption, r"tags='eu'"),
        ({"tags": ["x"] * 21}, InvalidOption, r"tags: 21"),
        ({"tags": ["longshore.x"]}, InvalidOption, r"reserved"),
        ({"max_attempt": 3}, InvalidOption, r"'max_attempt'.*max_attempts\?"),
        ({"delay": 5}, InvalidOption, r"'delay'"),
    ],
)
def test_a_wrong_option_is_refused_when_declared(
    jobs: Longshore, options: dict[str, Any], error: type[Exception], told: str
) -> None:
    given = {"kind": "app.work"} | options
    with pytest.raises(error, match=told) as raised:
        jobs.job(**given)(plain)
    assert "kind" in options or "app.work" in str(raised.value)
    assert len(jobs.registry) == 0


def test_an_async_job_has_no_thread(jobs: Longshore) -> None:
    with pytest.raises(InvalidOption, match=r"coroutine function.*isolation='thread'"):
        jobs.job(kind="app.work", isolation="thread")(awaited)


# --- using --------------------------------------------------------------------------------------


def test_using_is_a_copy_and_layers(jobs: Longshore) -> None:
    job = jobs.job(queue="low", priority=3, timeout="1m")(plain)
    vip = job.using(queue="vip")
    later = vip.using(delay="10m", timeout=None)
    assert (job.options.queue, vip.options.queue, later.options.queue) == ("low", "vip", "vip")
    assert (vip.options.timeout, later.options.timeout) == (60_000_000, None)
    assert (vip.options.delay, later.options.delay) == (None, 600_000_000)
    assert later.options.priority == 3
    assert (later.kind, later.declaration) == (job.kind, job.declaration)
    assert later(5) == "5"


def test_the_later_of_delay_and_at_counts(jobs: Longshore) -> None:
    job = jobs.job(plain)
    at = datetime.now(UTC) + timedelta(hours=1)
    assert job.using(delay=5).using(at=at).options.delay is None
    again = job.using(at=at).using(delay=5).options
    assert (again.at, again.delay) == (None, 5_000_000)


def test_using_offers_what_can_be_stored_and_nothing_else(jobs: Longshore) -> None:
    job = jobs.job(plain)
    for name in JobOptions.__annotations__.keys() - {
        *("queue", "priority", "max_attempts", "timeout", "expires", "keep_result", "tags"),
        *("unique", "at_most_once"),
    }:
        with pytest.raises(InvalidOption, match=name):
            job.using(**{name: None})
