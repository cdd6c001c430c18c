"""The public API as type checkers see it: right calls are accepted, wrong ones refused.

Nothing here runs: `./dev check` puts mypy and pyright, both strict, over this file. Every wrong
line carries the complaint that it must raise; a complaint that is not raised any more is an error.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, assert_type

from longshore import (
    CONTEXT,
    BoundJob,
    Discard,
    Event,
    Job,
    JobContext,
    JobHandle,
    JobRecord,
    JobState,
    Longshore,
    Progress,
    Retry,
    Run,
    Snooze,
    constant,
    current,
    discard_on,
    exponential,
    polynomial,
    retry_on,
)

jobs = Longshore("memory://")
Longshore()
Longshore(store="sqlite:///jobs.db", lease="15s", poll_interval=1, keep_dead=None)
Longshore(shutdown_timeout=timedelta(seconds=25), max_payload=1_048_576, durability="normal")
Longshore(store=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Longshore(leese="15s")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Longshore(max_payload="1 MB")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Longshore(durability="maybe")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- declare: functions -----------------------------------------------------------------------


@jobs.job
def plain(user_id: int, *, locale: str = "en") -> str:
    return f"{user_id}{locale}"


@jobs.job()
def empty_options(amount: Decimal) -> Decimal:
    return amount


@jobs.job(queue="mail", max_attempts=5, timeout="30s")
def optioned(user_id: int, /, *copies: str, **flags: bool) -> list[str]:
    return [*copies, *flags, str(user_id)]


@jobs.job
async def awaited(url: str, ctx: JobContext = CONTEXT) -> bytes:
    ctx.progress(1, 2, "half")
    return url.encode()


@jobs.job(isolation="process", priority=-5)
async def awaited_optioned(url: str) -> bytes:
    return url.encode()


@jobs.job(context=True)
def with_context(ctx: JobContext, report_id: int) -> None:
    ctx.checkpoint()


@jobs.job(context=True, queue="reports", expires="1d")
async def awaited_with_context(ctx: JobContext, report_id: int) -> float:
    return report_id / ctx.attempt


@jobs.job(context=False)
def without_context(report_id: int) -> int:
    return report_id


@jobs.job
def nothing() -> None: ...


assert_type(plain(1, locale="fr"), str)
assert_type(plain.enqueue(1, locale="fr"), JobHandle[str])
assert_type(plain.bind(1), BoundJob[str])
assert_type(plain.bind(1).enqueue(), JobHandle[str])
assert_type(plain.kind, str)
assert_type(empty_options.enqueue(Decimal(1)), JobHandle[Decimal])
assert_type(optioned.enqueue(1, "a", "b", fast=True), JobHandle[list[str]])
here_and_now = assert_type(awaited("x"), Coroutine[Any, Any, bytes])
assert_type(awaited.enqueue("x"), JobHandle[bytes])
assert_type(awaited_optioned.enqueue("x"), JobHandle[bytes])
assert_type(with_context(7), None)
assert_type(with_context.enqueue(report_id=7), JobHandle[None])
also_here = assert_type(awaited_with_context(7), Coroutine[Any, Any, float])
assert_type(awaited_with_context.enqueue(7), JobHandle[float])
assert_type(without_context.enqueue(7), JobHandle[int])
assert_type(nothing.enqueue(), JobHandle[None])

plain("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain.enqueue("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain.enqueue()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
plain.enqueue(1, "fr")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
plain.enqueue(1, locale=2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain.enqueue(1, language="fr")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
plain.bind(1, 2)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
optioned.enqueue(user_id=1)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
optioned.enqueue(1, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
optioned.enqueue(1, fast="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
awaited.enqueue(b"x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
awaited.bind()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
with_context.enqueue(CONTEXT, 7)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
with_context("7")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
awaited_with_context.enqueue()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
nothing.enqueue(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
wrong_handle: JobHandle[int] = plain.enqueue(1)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
wrong_bound: BoundJob[int] = awaited.bind("x")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


@jobs.job(context=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def lacks_context(report_id: int) -> None: ...


@jobs.job(context=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def takes_nothing() -> None: ...


# --- declare: options -------------------------------------------------------------------------


def wait_longer(attempt: int, error: BaseException) -> str:
    return f"{attempt}m" if isinstance(error, OSError) else "1s"


@jobs.job(
    kind="app.sync",
    aliases=("app.old_sync", "app.older_sync"),
    queue="low",
    priority=10,
    max_attempts=3,
    backoff=exponential(base="1s", cap="1h"),
    errors=[
        retry_on(TimeoutError, OSError, wait=3, attempts=10, queue="slow", priority=5),
        retry_on(ValueError, wait=constant("1m", jitter=0)),
        retry_on(KeyError, wait=wait_longer),
        discard_on(LookupError),
    ],
    timeout=timedelta(seconds=30),
    expires=3600,
    isolation="thread",
    keep_result=None,
    tags=["nightly"],
)
def everything() -> None: ...


jobs.job(backoff=polynomial())
jobs.job(backoff=wait_longer, keep_result="2 days", timeout=None, tags=())

jobs.job(queu="mail")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
jobs.job(delay="10m")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
jobs.job(queue=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
jobs.job(priority="high")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
jobs.job(max_attempts="3")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
jobs.job(timeout=[30])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
jobs.job(isolation="fork")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
jobs.job(backoff="1m")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
jobs.job(backoff=lambda attempt: attempt)  # type: ignore[arg-type, misc]  # pyright: ignore[reportArgumentType]
jobs.job(errors=[TimeoutError])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
jobs.job(errors=retry_on(TimeoutError))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
jobs.job(tags=[1, 2])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
jobs.job(aliases=[plain])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
jobs.job(context="yes")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
jobs.job("mail")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
retry_on(TimeoutError, wait=[3])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
retry_on("TimeoutError")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
retry_on(TimeoutError, attempts="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
discard_on(LookupError, wait=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
exponential(base=[1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
constant()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# --- using ------------------------------------------------------------------------------------

soon = datetime.now(UTC)
assert_type(plain.using(queue="vip", delay="10m")(42), str)
assert_type(plain.using(at=soon, priority=3).enqueue(42), JobHandle[str])
assert_type(awaited.using(timeout=None, expires="1h").bind("x"), BoundJob[bytes])
plain.using(
    max_attempts=1,
    tags=("a", "b"),
    keep_result=0,
    id="0193ab5c-0000-7000-8000-000000000000",
).using(delay=timedelta(minutes=1))

plain.using(queu="vip")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
plain.using(kind="other")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
plain.using(isolation="process")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
plain.using(queue=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain.using(delay=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain.using(at="tomorrow")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain.using(priority=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain.using(tags=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain.using(id=42)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain.using(object())  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
plain.using(queue="vip").enqueue("42")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain.using(queue="vip").enqueue()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# --- declare: classes -------------------------------------------------------------------------


class ConvertImage(Job, app=jobs):
    kind = "images.convert"
    queue = "images"
    priority = 5
    max_attempts = 3
    backoff = exponential(base=1, cap="1h")
    errors = (retry_on(TimeoutError), discard_on(LookupError))
    timeout = "30s"
    isolation = "process"
    keep_result = None
    tags = ("images",)
    sizes: ClassVar[Sequence[int]] = (100, 200)

    def perform(self, path: Path, width: int, *, crop: bool = False) -> Path:
        assert_type(self.context, JobContext)
        return path / str(width) / str(crop)

    def around_perform(self) -> Iterator[None]:
        yield


class Download(Job, app=jobs):
    async def perform(self, url: str) -> bytes:
        return url.encode()


class Abstract(Job):
    queue = "later"


class Concrete(Abstract, app=jobs):
    def perform(self) -> None: ...


assert_type(ConvertImage.enqueue(Path(), 100, crop=True), JobHandle[Path])
assert_type(ConvertImage.bind(Path(), width=100), BoundJob[Path])
assert_type(ConvertImage.using(queue="vip").enqueue(Path(), 100), JobHandle[Path])
assert_type(ConvertImage.using(queue="vip")(Path(), 100), Path)
assert_type(ConvertImage().perform(Path(), 100), Path)
assert_type(Download.enqueue("x"), JobHandle[bytes])
assert_type(Download.bind("x"), BoundJob[bytes])
assert_type(Download.using(delay=5).bind("x"), BoundJob[bytes])
here_again = assert_type(Download.using(delay=5)("x"), Coroutine[Any, Any, bytes])
assert_type(Concrete.enqueue(), JobHandle[None])

ConvertImage.enqueue()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
ConvertImage.enqueue("path", 100)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ConvertImage.enqueue(Path(), 100, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
ConvertImage.bind(Path(), 100, height=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
ConvertImage.using(queu="vip")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
ConvertImage.using(delay=[])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ConvertImage.using(queue="vip").enqueue(Path())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Download.enqueue(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Download.bind()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Download.using(isolation="process")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Download.using(queue="vip").bind(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Abstract.enqueue()  # type: ignore[arg-type]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
wrong_class_handle: JobHandle[str] = Download.enqueue("x")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class WrongQueue(Job, app=jobs):
    queue = 5  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def perform(self) -> None: ...


class WrongAttempts(Job, app=jobs):
    max_attempts = "3"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def perform(self) -> None: ...


class WrongIsolation(Job, app=jobs):
    isolation = "fork"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def perform(self) -> None: ...


class WrongErrors(Job, app=jobs):
    errors = (TimeoutError,)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def perform(self) -> None: ...


class WrongApp(Job, app="jobs"):  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportGeneralTypeIssues]
    def perform(self) -> None: ...


# --- enqueue ----------------------------------------------------------------------------------

assert_type(jobs.enqueue_many(plain.bind(i) for i in range(10)), list[JobHandle[str]])
assert_type(jobs.enqueue_many([Download.bind("x"), awaited.bind("x")]), list[JobHandle[bytes]])
mixed: Sequence[BoundJob[object]] = [plain.bind(1), awaited.bind("x")]
anything_stored: Sequence[JobHandle[object]] = jobs.enqueue_many(mixed)
assert_type(jobs.push({"kind": "app.plain", "args": [42], "queue": "mail"}), JobHandle[Any])

jobs.enqueue_many(plain)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
jobs.enqueue_many(plain.bind(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
jobs.enqueue_many([plain])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
jobs.enqueue_many([plain.enqueue(1)])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
jobs.enqueue_many(plain.bind(str(i)) for i in range(10))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
jobs.push("app.plain")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
jobs.push({5: "kind"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


# --- follow -----------------------------------------------------------------------------------


def follow(handle: JobHandle[str], job_id: str) -> None:
    assert_type(handle.id, str)
    assert_type(handle.is_duplicate, bool)
    assert_type(handle.refresh(), JobHandle[str])
    assert_type(handle.kind, str)
    assert_type(handle.state, JobState)
    assert_type(handle.attempt, int)
    assert_type(handle.progress, Progress | None)
    assert_type(handle.error, str | None)
    assert_type(handle.runs, tuple[Run, ...])
    assert_type(handle.record, JobRecord)
    assert_type(handle.result(), str)
    assert_type(handle.result(timeout="5s"), str)
    assert_type(handle.wait(timeout=5), JobHandle[str])
    assert_type(handle.cancel(), bool)
    assert_type(handle.cancel("no longer wanted"), bool)
    assert_type(handle.retry(), bool)
    assert_type(jobs.get(job_id), JobHandle[Any])
    anything: JobHandle[object] = handle
    anything.refresh()

    jobs.get(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    _number: int = handle.result()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    handle.result(timeout=[5])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    handle.state()  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
    handle.state = JobState.DEAD  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    handle.cancel(reason=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    handle.results()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def twins(handle: JobHandle[str], job_id: str) -> None:
    assert_type(await plain.aenqueue(1), JobHandle[str])
    assert_type(await awaited.aenqueue("x"), JobHandle[bytes])
    assert_type(await plain.bind(1).aenqueue(), JobHandle[str])
    assert_type(await plain.using(queue="vip").aenqueue(1), JobHandle[str])
    assert_type(await ConvertImage.aenqueue(Path(), 100), JobHandle[Path])
    assert_type(await Download.aenqueue("x"), JobHandle[bytes])
    assert_type(await jobs.aenqueue_many([plain.bind(1)]), list[JobHandle[str]])
    assert_type(await jobs.apush({"kind": "app.plain"}), JobHandle[Any])
    assert_type(await jobs.aget(job_id), JobHandle[Any])
    assert_type(await jobs.amigrate(), tuple[str, ...])
    await jobs.aclose()
    assert_type(await handle.arefresh(), JobHandle[str])
    assert_type(await handle.aresult(timeout=5), str)
    assert_type(await handle.await_(timeout=5), JobHandle[str])
    assert_type(await handle.acancel(), bool)
    assert_type(await handle.aretry(), bool)
    assert_type(await awaited("x"), bytes)

    await plain.aenqueue("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await plain.enqueue(1)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await ConvertImage.aenqueue(Path())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await Download.aenqueue("x", "y")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    _text: str = handle.aresult()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    _wrong: int = await handle.aresult()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


# --- inside a job -----------------------------------------------------------------------------


def body() -> None:
    ctx = current()
    assert_type(ctx, JobContext)
    assert_type(ctx.id, str | None)
    assert_type(ctx.attempt, int)
    assert_type(ctx.created_at, datetime | None)
    assert_type(ctx.tags, tuple[str, ...])
    assert_type(ctx.cancelled, bool)
    ctx.progress(31, 50, "page 31 of 50")
    ctx.progress(0.5)
    ctx.progress("half")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.attempt = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    Retry(in_="5m")
    Retry()
    Snooze("1h")
    Discard("no longer needed")
    Retry("5m")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Retry(in_=[5])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Snooze()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Discard(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- around jobs ------------------------------------------------------------------------------


@jobs.middleware
def timing(job: JobRecord) -> Iterator[None]:
    str(job.kind)
    yield


@jobs.on("job.dead")
def alarm(event: Event) -> None:
    str(event.job_id)


assert_type(next(timing(plain.enqueue(1).record)), None)


@jobs.middleware  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
def no_generator(job: JobRecord) -> None: ...


@jobs.middleware  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
def no_job() -> Iterator[None]:
    yield


@jobs.on("job.died")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def misspelt(event: Event) -> None: ...


@jobs.on("job.dead")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
def takes_record(event: JobRecord) -> None: ...
