"""Following one job: both twins over both stores, with the worker's part done by hand."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import (
    JobCancelled,
    JobDead,
    JobHandle,
    JobNotFound,
    JobState,
    Longshore,
    Progress,
    ResultGone,
    ResultTimeout,
    ResultUnavailable,
)
from longshore.core.model import Claimed, Ending, Lease, Patch, Run, Why
from longshore.core.store import ClaimRequest, Line, NewProcess

#: Calls a method of a handle or of the application, or its awaitable twin: one test, both ways.
Call = Callable[..., Any]

TWINS = {"wait": "await_"}  # every other twin is the name with an a before it


def blocking(owner: object, name: str, *args: Any, **kwargs: Any) -> Any:
    return getattr(owner, name)(*args, **kwargs)


def awaiting(owner: object, name: str, *args: Any, **kwargs: Any) -> Any:
    return asyncio.run(getattr(owner, TWINS.get(name, f"a{name}"))(*args, **kwargs))


@pytest.fixture(params=[blocking, awaiting], ids=["blocking", "awaiting"])
def call(request: pytest.FixtureRequest) -> Call:
    chosen: Call = request.param
    return chosen


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    # A poll that takes far longer than a test: who waits must be woken.
    app = Longshore(url, poll_interval="1h")
    yield app
    app.close()


def add(number: int, *, to: int = 0) -> int:
    return number + to


@pytest.fixture
def handle(jobs: Longshore) -> JobHandle[int]:
    return jobs.job(kind="add", max_attempts=3)(add).enqueue(1)


class Hands:
    """A worker's store calls, made one by one."""

    def __init__(self, jobs: Longshore) -> None:
        self.store = jobs.store
        self.process = "process-1"
        self.claims = 0
        self.store.run(
            self.store.register(
                NewProcess(
                    id=self.process,
                    app="test",
                    name="test",
                    host="here",
                    pid=1,
                    lease=3_600_000_000,
                    queues=("*",),
                    kinds=("add",),
                    slots=1,
                    embedded=True,
                )
            )
        )

    def claim(self) -> Claimed:
        self.claims += 1
        request = ClaimRequest(self.process, self.claims, 1, (Line(("*",)),))
        (claimed,) = self.store.run(self.store.claim(request)).jobs
        return claimed

    def lease(self, claimed: Claimed) -> Lease:
        return Lease(claimed.id, self.process, claimed.run)

    def end(self, claimed: Claimed, to: JobState, **fields: Any) -> None:
        lease = self.lease(claimed)
        held = self.store.run(self.store.finish([Ending(lease, to, **fields)]))
        assert held == {lease}

    def fail(self, claimed: Claimed, to: JobState, **fields: Any) -> None:
        now = time.time_ns() // 1000
        entry = Run(
            run=claimed.run,
            process=self.process,
            started_at=now - 1000,
            ended_at=now,
            why=Why.FAILED,
            error="ValueError",
            message=f"number {claimed.run}",
        )
        self.end(claimed, to, failed=True, entry=entry, at=now, **fields)


# --- the picture ----------------------------------------------------------------------------


def test_it_shows_the_job_from_its_beginning(handle: JobHandle[int]) -> None:
    assert (handle.kind, handle.state, handle.attempt) == ("add", JobState.AVAILABLE, 1)
    assert (handle.progress, handle.error, handle.runs) == (None, None, ())
    assert not handle.is_duplicate
    assert handle.id in repr(handle)
    assert "available" in repr(handle)


def test_what_the_enqueue_knew_is_what_the_store_has(
    jobs: Longshore, call: Call, handle: JobHandle[int]
) -> None:
    at_first = handle.record
    assert call(handle, "refresh") is handle
    assert handle.record == at_first
    options = {"delay": "1h", "tags": ("a", "b"), "timeout": 5, "expires": "2h", "priority": -3}
    later = jobs.job(kind="later", queue="low")(add).using(**options).enqueue(2, to=3)
    at_first = later.record
    assert later.state is JobState.SCHEDULED
    assert call(later, "refresh").record == at_first


def test_properties_never_touch_the_store(jobs: Longshore, handle: JobHandle[int]) -> None:
    jobs.close()
    shown = (handle.state, handle.attempt, handle.progress, handle.error, handle.runs, handle.kind)
    assert shown == (JobState.AVAILABLE, 1, None, None, (), "add")
    assert handle.record.queue == "default"


def test_it_changes_with_refresh_only(jobs: Longshore, call: Call, handle: JobHandle[int]) -> None:
    hands = Hands(jobs)
    claimed = hands.claim()
    assert handle.state is JobState.AVAILABLE
    assert call(handle, "refresh").state is JobState.RUNNING
    patch = Patch(hands.lease(claimed), Progress(31, 50, "page 31 of 50"))
    jobs.store.run(jobs.store.save([patch]))
    assert handle.progress is None
    call(handle, "refresh")
    assert handle.progress == Progress(31, 50, "page 31 of 50")
    hands.fail(claimed, JobState.RETRYING)
    call(handle, "refresh")
    assert (handle.state, handle.attempt) == (JobState.RETRYING, 2)
    assert handle.error == "ValueError: number 1"
    assert [run.why for run in handle.runs] == [Why.FAILED]


# --- jobs.get -------------------------------------------------------------------------------


def test_get_finds_a_job_of_any_process(
    jobs: Longshore, call: Call, handle: JobHandle[int]
) -> None:
    found = call(jobs, "get", handle.id)
    assert found.record == handle.record
    assert not found.is_duplicate


@pytest.mark.parametrize("job_id", ["0193ab5c-0000-7000-8000-000000000000", "", "nonsense\0"])
def test_get_of_an_unknown_id(jobs: Longshore, call: Call, job_id: str) -> None:
    with pytest.raises(JobNotFound, match="no job"):
        call(jobs, "get", job_id)


def test_a_deleted_job_is_not_found(jobs: Longshore, call: Call, handle: JobHandle[int]) -> None:
    jobs.store.run(jobs.store.delete([handle.id]))
    with pytest.raises(JobNotFound, match=handle.id):
        call(handle, "refresh")
    assert handle.state is JobState.AVAILABLE, "what was seen last stays"


# --- results --------------------------------------------------------------------------------


def test_the_result_comes_as_annotated(jobs: Longshore, call: Call) -> None:
    @jobs.job(kind="path")
    def path(number: int) -> Path:
        return Path(str(number))

    handle = path.enqueue(1)
    hands = Hands(jobs)
    hands.end(hands.claim(), JobState.SUCCEEDED, result=b'"a/b"')
    assert call(handle, "result", timeout=5) == Path("a/b")
    assert call(call(jobs, "get", handle.id), "result", timeout="5s") == Path("a/b")


def test_a_result_of_none_is_a_result(jobs: Longshore, call: Call, handle: JobHandle[int]) -> None:
    hands = Hands(jobs)
    hands.end(hands.claim(), JobState.SUCCEEDED, result=b"null")
    unknown = Longshore("memory://")
    assert call(call(jobs, "get", handle.id), "wait", timeout=5).state is JobState.SUCCEEDED
    unknown.close()


def test_a_job_that_is_not_declared_here_has_a_plain_result(jobs: Longshore, call: Call) -> None:
    handle = jobs.push({"kind": "elsewhere"})
    hands = Hands(jobs)
    hands.end(hands.claim(), JobState.SUCCEEDED, result=b'{"a":[1,null]}')
    assert call(handle, "result", timeout=5) == {"a": [1, None]}


def dead(hands: Hands) -> None:
    hands.fail(hands.claim(), JobState.DEAD, reason="attempts used up")


def cancelled(hands: Hands) -> None:
    hands.end(hands.claim(), JobState.CANCELLED, reason="no longer needed")


def unavailable(hands: Hands) -> None:
    hands.end(hands.claim(), JobState.SUCCEEDED, result_error="its result is a generator")


def misfit(hands: Hands) -> None:
    hands.end(hands.claim(), JobState.SUCCEEDED, result=b'"seven"')


def unkept(hands: Hands) -> None:
    hands.end(hands.claim(), JobState.SUCCEEDED)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (dead, (JobDead, "dead.*ValueError: number 1")),
        (cancelled, (JobCancelled, "no longer needed")),
        (unavailable, (ResultUnavailable, "a generator")),
        (misfit, (ResultUnavailable, "does not fit")),
        (unkept, (ResultGone, "not kept")),
    ],
)
def test_a_job_without_a_result_says_why(
    jobs: Longshore,
    call: Call,
    handle: JobHandle[int],
    end: Callable[[Hands], None],
    expected: tuple[type[Exception], str],
) -> None:
    error, told = expected
    end(Hands(jobs))
    with pytest.raises(error, match=told) as raised:
        call(handle, "result", timeout=5)
    assert handle.id in str(raised.value)
    assert "add" in str(raised.value)
    assert call(handle, "wait", timeout=5) is handle, "waiting only asks for the end"


def test_the_result_of_a_deleted_job_is_gone(
    jobs: Longshore, call: Call, handle: JobHandle[int]
) -> None:
    jobs.store.run(jobs.store.delete([handle.id]))
    with pytest.raises(ResultGone, match=handle.id):
        call(handle, "result", timeout=5)


# --- waiting --------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["result", "wait"])
def test_waiting_ends_with_its_timeout_and_the_job_goes_on(
    call: Call, handle: JobHandle[int], verb: str
) -> None:
    started = time.monotonic()
    with pytest.raises(ResultTimeout, match="available") as raised:
        call(handle, verb, timeout="100ms")
    assert 0.1 <= time.monotonic() - started < 5
    assert isinstance(raised.value, TimeoutError)
    assert handle.id in str(raised.value)
    with pytest.raises(ResultTimeout):
        call(handle, verb, timeout=0)
    assert handle.refresh().state is JobState.AVAILABLE


@pytest.mark.parametrize("timeout", [-1, "5", True, float("nan")])
def test_a_wrong_timeout_is_refused(call: Call, handle: JobHandle[int], timeout: Any) -> None:
    with pytest.raises(Exception, match="timeout="):
        call(handle, "result", timeout=timeout)


def test_who_waits_is_woken(jobs: Longshore, call: Call, handle: JobHandle[int]) -> None:
    hands = Hands(jobs)
    claimed = hands.claim()
    waits = _when_watched(jobs)

    def finish() -> None:
        assert waits.wait(20)
        hands.end(claimed, JobState.SUCCEEDED, result=b"3")

    thread = threading.Thread(target=finish)
    thread.start()
    started = time.monotonic()
    try:
        # With a poll of an hour only a hint can end this.
        assert call(handle, "result", timeout=30) == 3
    finally:
        thread.join(30)
    assert time.monotonic() - started < 20


def test_hints_of_other_jobs_do_not_end_a_wait(
    jobs: Longshore, call: Call, handle: JobHandle[int]
) -> None:
    hands = Hands(jobs)
    claimed = hands.claim()
    waits = _when_watched(jobs)
    others: list[str] = []

    def stir() -> None:
        assert waits.wait(20)
        others.extend(jobs.push({"kind": "other"}).id for _ in range(50))
        hands.end(claimed, JobState.SUCCEEDED, result=b"3")

    thread = threading.Thread(target=stir)
    thread.start()
    try:
        assert call(handle, "result", timeout=30) == 3
    finally:
        thread.join(30)
    assert len(others) == 50


def _when_watched(jobs: Longshore) -> threading.Event:
    """Set when somebody begins to listen to the store."""
    watched = threading.Event()
    watch = jobs.store.watch

    def watching() -> Any:
        made = watch()
        watched.set()
        return made

    jobs.store.watch = watching  # type: ignore[method-assign]
    return watched


def test_many_coroutines_wait_without_a_thread_each(jobs: Longshore) -> None:
    job = jobs.job(kind="add")(add)
    hands = Hands(jobs)
    waits = _when_watched(jobs)

    async def follow() -> list[int]:
        handles = await jobs.aenqueue_many([job.bind(i) for i in range(60)])
        waiting = [asyncio.create_task(handle.aresult(timeout=30)) for handle in handles]
        assert await asyncio.to_thread(waits.wait, 20)
        before = threading.active_count()
        for _ in handles:
            claimed = await asyncio.to_thread(hands.claim)
            number = claimed.payload.decode().partition('"number":')[2].rstrip("}")
            result = number.encode()
            await asyncio.to_thread(hands.end, claimed, JobState.SUCCEEDED, result=result)
        results = await asyncio.gather(*waiting)
        assert threading.active_count() <= before + 10
        return list(results)

    started = time.monotonic()
    assert asyncio.run(follow()) == list(range(60))
    assert time.monotonic() - started < 25, "woken, not timed out"


def test_a_cancelled_wait_leaves_nothing_behind(jobs: Longshore, handle: JobHandle[int]) -> None:
    waits = _when_watched(jobs)

    async def give_up() -> None:
        waiting = asyncio.create_task(handle.aresult())
        assert await asyncio.to_thread(waits.wait, 20)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(give_up())
    # The next loop listens afresh; what is left of the closed one is not called.
    asyncio.run(handle.acancel("enough"))
    with pytest.raises(JobCancelled, match="enough"):
        asyncio.run(handle.aresult(timeout=5))


def test_closing_ends_every_wait(jobs: Longshore, handle: JobHandle[int]) -> None:
    waits = _when_watched(jobs)
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            handle.result(timeout=30)
        except Exception as error:  # noqa: BLE001 - whatever it was is looked at below
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert waits.wait(20)
    jobs.close()
    thread.join(20)
    assert [type(error).__name__ for error in ended] == ["ClientClosed"]


# --- verbs ----------------------------------------------------------------------------------


def test_cancel_ends_a_queued_job_at_once(
    jobs: Longshore, call: Call, handle: JobHandle[int]
) -> None:
    assert call(handle, "cancel", "no longer wanted") is True
    assert call(handle, "refresh").state is JobState.CANCELLED
    assert handle.record.reason == "no longer wanted"
    assert call(handle, "cancel") is False


def test_cancel_asks_a_running_job(jobs: Longshore, call: Call, handle: JobHandle[int]) -> None:
    claimed = Hands(jobs).claim()
    assert claimed.id == handle.id
    assert call(handle, "cancel") is True
    assert call(handle, "refresh").state is JobState.RUNNING
    assert handle.record.cancel_requested


def test_retry_brings_an_ended_job_back_with_counters_at_zero(
    jobs: Longshore, call: Call, handle: JobHandle[int]
) -> None:
    dead(Hands(jobs))
    assert call(handle, "retry") is True
    call(handle, "refresh")
    assert (handle.state, handle.attempt, handle.record.failures) == (JobState.AVAILABLE, 1, 0)
    assert [run.message for run in handle.runs] == ["number 1"], "the history stays"


def test_retry_does_not_touch_a_running_job(
    jobs: Longshore, call: Call, handle: JobHandle[int]
) -> None:
    Hands(jobs).claim()
    assert call(handle, "retry") is False
    assert call(handle, "refresh").state is JobState.RUNNING


def test_every_verb_of_an_unknown_job(jobs: Longshore, call: Call) -> None:
    handle = jobs.push({"kind": "gone"})
    jobs.store.run(jobs.store.delete([handle.id]))
    assert call(handle, "cancel") is False
    assert call(handle, "retry") is False
