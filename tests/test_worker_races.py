"""What only shows under stress inside one process: races, hostile endings, leaks."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import CONTEXT, Discard, Event, Job, JobContext, JobState, Longshore, StoreError
from longshore.core.model import Lease
from longshore.core.store import Claim, ClaimRequest, Operation, Rescue, Watch
from longshore.running import RunState
from longshore.worker.beacon import Beacon
from longshore.worker.buffer import STALE
from longshore.worker.claims import Claims
from longshore.worker.control import Cancel, Drain, Refused, child_channel, parent_channel
from longshore.worker.engine import Engine
from longshore.worker.errands import Errands
from longshore.worker.precise import precise_loop
from tests.worker_tools import eventually

LEASE = Lease("01890000-0000-7000-8000-000000000000", "process", 1)


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    app = Longshore(url)
    yield app
    app.close()


@pytest.mark.parametrize("reason", ["\ud800", 42, object(), None, "a\0b", "x" * 10_000_000])
def test_any_reason_of_a_discard_can_be_stored(jobs: Longshore, reason: object) -> None:
    @jobs.job(kind="odd")
    def odd() -> None:
        raise Discard(reason)  # type: ignore[arg-type]

    @jobs.job(kind="plain")
    def plain() -> int:
        return 1

    handle, other = odd.enqueue(), plain.enqueue()
    jobs.worker(threads=2).run(until_empty=True)
    assert other.refresh().state is JobState.SUCCEEDED
    assert handle.refresh().state is JobState.CANCELLED
    assert len(handle.refresh().record.reason or "") <= 10_100


@pytest.mark.parametrize(
    ("done", "message"), [(1, "\ud800"), (10**50, None), (1, "a\0b"), (True, None)]
)
def test_any_progress_can_be_stored(jobs: Longshore, done: float, message: str | None) -> None:
    @jobs.job(kind="talks")
    def talks(ctx: JobContext = CONTEXT) -> None:
        ctx.progress(done, None, message)

    handle = talks.enqueue()
    jobs.worker(threads=2).run(until_empty=True)
    assert handle.refresh().state is JobState.SUCCEEDED


@pytest.mark.parametrize("value", ["\ud800", 10**50, {"a": "\udfff"}, float("nan"), object()])
def test_any_result_ends_its_job(jobs: Longshore, value: object) -> None:
    @jobs.job(kind="gives")
    def gives() -> object:
        return value

    handle = gives.enqueue()
    jobs.worker(threads=2).run(until_empty=True)
    assert handle.refresh().state is JobState.SUCCEEDED


def _refuse(_self: object) -> type:
    raise RuntimeError("no class")


def test_hostile_classes_of_exceptions(jobs: Longshore) -> None:
    class Meta(type):
        def __instancecheck__(cls, _other: object) -> bool:
            raise RuntimeError("no")

    class Odd(Exception, metaclass=Meta):
        __class__ = property(_refuse)

    class Sur(Exception):
        pass

    Sur.__qualname__ = "\ud800"
    Sur.__module__ = "\udfff"

    @jobs.job(kind="odd", max_attempts=1)
    def odd() -> None:
        raise Odd

    @jobs.job(kind="sur", max_attempts=1)
    def sur() -> None:
        raise Sur

    one, two = odd.enqueue(), sur.enqueue()
    jobs.worker(threads=2).run(until_empty=True)
    assert one.refresh().state is JobState.DEAD
    assert two.refresh().state is JobState.DEAD


def test_until_empty_runs_what_the_last_job_enqueues(jobs: Longshore) -> None:
    @jobs.job(kind="chain")
    def chain(left: int) -> None:
        if left:
            chain.enqueue(left - 1)

    for _ in range(5):
        chain.enqueue(30)
        jobs.worker(threads=1).run(until_empty=True)
    assert jobs.query.filter(state="succeeded").count() == 5 * 31


def test_the_loop_survives_what_tasks_of_a_body_do(jobs: Longshore) -> None:
    @jobs.job(kind="breaks")
    async def breaks(how: str) -> None:
        loop = asyncio.get_running_loop()
        if how == "stop":
            loop.stop()
        elif how == "exit":
            loop.call_soon(sys.exit, 1)
        else:

            async def leave() -> None:
                raise KeyboardInterrupt

            task = loop.create_task(leave())
            await asyncio.sleep(0.01)
            task.cancelled()
        await asyncio.sleep(0.01)

    @jobs.job(kind="plain")
    async def plain() -> int:
        await asyncio.sleep(0.001)
        return 7

    for how in ("stop", "exit", "raise"):
        breaks.enqueue(how)
    with jobs.worker(threads=2).running():
        handles = [plain.enqueue() for _ in range(5)]
        assert [handle.result(timeout=10) for handle in handles] == [7] * 5
        eventually(lambda: jobs.query.filter(state="succeeded").count() == 8)


def test_a_slow_job_does_not_make_its_worker_claim_and_give_back(jobs: Longshore) -> None:
    release, started = threading.Event(), threading.Event()

    @jobs.job(kind="tiny")
    def tiny() -> None:
        return None

    @jobs.job(kind="slow")
    def slow() -> None:
        started.set()
        release.wait(20)

    jobs.enqueue_many(tiny.bind() for _ in range(2000))
    with jobs.worker(threads=1).running():
        eventually(lambda: jobs.query.filter(state="succeeded").count() == 2000, 20)
        slow.using(priority=1).enqueue()
        assert started.wait(10)
        late = jobs.enqueue_many(tiny.bind() for _ in range(20))
        deadline = time.monotonic() + 2
        eventually(lambda: time.monotonic() > deadline)
        release.set()
        for handle in late:
            handle.wait(timeout=10)
    assert max(handle.record.run for handle in late) <= 2


def test_jobs_of_a_slow_store_are_not_stale_as_they_come(
    jobs: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    @jobs.job(kind="tiny")
    def tiny() -> None:
        return None

    @jobs.job(kind="brief")
    def brief() -> None:
        time.sleep(0.02)

    store = jobs.store
    run = store.run

    def slowly(op: Operation[Any]) -> Any:
        answer = run(op)
        if op.name in ("claim", "exchange"):
            time.sleep(1.2 * STALE / 1e6)
        return answer

    jobs.enqueue_many(tiny.bind() for _ in range(100))
    with jobs.worker(threads=1).running():
        eventually(lambda: jobs.query.filter(state="succeeded").count() == 100, 20)
        monkeypatch.setattr(store, "run", slowly)
        handles = jobs.enqueue_many(brief.bind() for _ in range(10))
        for handle in handles:
            handle.wait(timeout=20)
    assert [handle.record.run for handle in handles] == [1] * 10


def test_a_process_that_lost_its_lease_may_run_the_same_job_again(
    jobs: Longshore, caplog: pytest.LogCaptureFixture
) -> None:
    """The first body ends, under the lost lease, while the second one runs here too."""
    first, second, release = threading.Event(), threading.Event(), threading.Event()

    @jobs.job(kind="twice")
    def twice(ctx: JobContext = CONTEXT) -> int:
        if ctx.run == 1:
            first.set()
            assert second.wait(20)
        else:
            second.set()
            assert release.wait(20)
        return ctx.run

    store = jobs.store
    with jobs.worker(threads=2).running():
        handle = twice.enqueue()
        assert first.wait(10)
        (process,) = store.run(store.processes())
        store.run(store.rescue(Rescue(process.id)))
        try:
            eventually(lambda: "was refused" in caplog.text)
        finally:
            release.set()
        assert handle.result(timeout=20) == 2


def test_what_a_worker_held_that_failed_goes_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a fault in it: it must not keep its lease for as long as its program lives."""
    jobs = Longshore(f"sqlite:///{tmp_path}/jobs.db", lease="3s")

    @jobs.job(kind="note")
    def note() -> str:
        return "done"

    handle = note.enqueue()
    take = Engine._take

    def fails(self: Engine, now: float, request: ClaimRequest, claim: Claim) -> None:
        if claim.jobs:
            raise RuntimeError("a fault of ours")
        take(self, now, request, claim)

    monkeypatch.setattr(Engine, "_take", fails)
    with jobs.worker(threads=1).running():
        eventually(lambda: "this worker has failed" in caplog.text)
        assert handle.refresh().state is JobState.RUNNING
        monkeypatch.setattr(Engine, "_take", take)
        with jobs.worker(threads=1).running():
            assert handle.result(timeout=20) == "done"
    jobs.close()


@pytest.mark.timed
def test_short_runs_with_long_timeouts_are_not_kept(jobs: Longshore) -> None:
    @jobs.job(kind="brief", timeout="1h")
    def brief() -> None:
        return None

    def kept() -> int:
        gc.collect()
        return sum(isinstance(each, RunState) for each in gc.get_objects())

    jobs.enqueue_many(brief.bind() for _ in range(6000))
    before = kept()
    seen: list[int] = []
    with jobs.worker(threads=2).running():
        eventually(lambda: jobs.query.filter(state="succeeded").count() == 6000, 30)
        seen.append(kept() - before)
    assert seen[0] < 3000


def test_a_slot_that_cannot_be_started_is_done_without(
    jobs: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("longshore-slot-") and not thread.name.endswith("-0"):
            raise RuntimeError("can't start new thread")
        start(thread)

    @jobs.job(kind="nap")
    def nap() -> None:
        threading.Event().wait(0.01)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    jobs.enqueue_many(nap.bind() for _ in range(20))
    jobs.worker(threads=4).run(until_empty=True)
    assert jobs.query.filter(state="succeeded").count() == 20


class _Worst:
    """A watch at whose most awkward moment, its lock held, the process gets a signal."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._lock = threading.Lock()

    def wait(self, timeout: float) -> bool:
        with self._lock:
            os.kill(os.getpid(), signal.SIGTERM)
        return self._watch.wait(timeout)

    def wake(self) -> None:
        assert self._lock.acquire(timeout=5), "a signal handler waits for its own thread"
        self._lock.release()
        self._watch.wake()

    def close(self) -> None:
        self._watch.close()


def test_a_signal_at_the_worst_moment_drains(
    jobs: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = jobs.store.watch
    monkeypatch.setattr(jobs.store, "watch", lambda: _Worst(watch()))
    jobs.worker(threads=1).run()


def test_listeners_and_hooks_that_leave_do_not_stop_the_worker(jobs: Longshore) -> None:
    @jobs.on("job.dead")
    def leave(_event: Event) -> None:
        sys.exit(3)

    class Fails(Job, app=jobs):
        kind = "fails"
        max_attempts = 1

        def perform(self) -> None:
            raise ValueError("no")

        def after_death(self, _error: BaseException) -> None:
            raise KeyboardInterrupt

    handles = [Fails.enqueue() for _ in range(3)]
    jobs.worker(threads=1).run(until_empty=True)
    assert {handle.refresh().state for handle in handles} == {JobState.DEAD}


def test_verdicts_from_two_sides_end_a_job_once(jobs: Longshore) -> None:
    """Cancelled and timed out at nearly the same moment, many times."""

    @jobs.job(kind="asked", timeout="30ms", max_attempts=1)
    def asked() -> None:
        pause = threading.Event()
        while True:
            pause.wait(0.001)

    with jobs.worker(threads=4).running():
        handles = [asked.enqueue() for _ in range(60)]
        eventually(lambda: jobs.query.filter(state="available").count() < 56, 20)
        for handle in handles:
            handle.cancel("enough")
        for handle in handles:
            handle.wait(timeout=20)
    ended = {handle.refresh().state for handle in handles}
    assert ended <= {JobState.DEAD, JobState.CANCELLED}


def test_several_threads_may_send_long_messages() -> None:
    ours, theirs = socket.socketpair()
    sender, receiver = child_channel(ours), parent_channel(theirs)
    text = "x" * 500_000

    def send(code: int) -> None:
        for _ in range(10):
            sender.send(Refused(code, text))

    threads = [threading.Thread(target=send, args=(code,)) for code in range(4)]
    for thread in threads:
        thread.start()
    got: list[object] = []
    with ours, theirs:
        for message in receiver.messages():
            got.append(message)
            if len(got) == 40:
                break
        for thread in threads:
            thread.join(10)
    assert got.count(Refused(0, text)) == 10


def test_after_half_a_message_nothing_follows() -> None:
    """The peer was stopped and its socket full: what is left must not be read as an order."""
    ours, theirs = socket.socketpair()
    ours.settimeout(0.01)
    theirs.settimeout(0.2)
    with ours, theirs:
        channel, reader = parent_channel(ours), child_channel(theirs)
        channel.send(Cancel((LEASE,) * 50_000))
        while reader.receive() == []:
            continue
        channel.send(Drain(1.0))
        assert list(reader.messages()) == []


def test_a_claim_that_begins_is_never_called_lost() -> None:
    """A beat of another thread would give its jobs back, and they would run twice."""
    claims, seen = Claims(), list[int]()

    class Table(dict[int, int]):
        def __setitem__(self, number: int, jobs: int) -> None:
            seen.append(claims.oldest)
            super().__setitem__(number, jobs)
            seen.append(claims.oldest)

    claims._open = Table()
    assert claims.begin() == 1
    assert claims.oldest == 1
    assert max(seen) == 1
    claims.arrived(1, 0, 0.0)
    assert claims.oldest == 2


def test_errands_outlive_any_error() -> None:
    errands, done = Errands(), threading.Event()
    errors: list[Exception] = [ValueError("ours"), StoreError("its")]

    def errand() -> None:
        if errors:
            raise errors.pop()
        done.set()

    errands.add("do this", errand)
    assert done.wait(10)
    errands.finish()


def test_an_errand_that_is_not_needed_any_more_keeps_none_waiting() -> None:
    """A child that is killed before it is registered can never be; its successor is."""
    errands, tried, done = Errands(), threading.Event(), threading.Event()

    def hopeless() -> None:
        tried.set()
        raise ValueError("it is buried")

    errands.add("register a child", hopeless, tried.is_set)
    errands.add("register its successor", done.set)
    assert done.wait(10)
    assert tried.is_set()
    errands.finish()


def test_a_lease_that_is_renewed_after_a_burial_is_nobodys() -> None:
    shared = Beacon.create()
    beacon = Beacon(shared)
    os.close(shared)
    beacon.renew(1.0)
    beacon.close()
    beacon.renew(2.0)


def test_the_exact_loop_is_woken_from_other_threads() -> None:
    """It waits in another call than asyncio's own; a wake-up must end that wait too."""
    loop = precise_loop()
    woken = loop.create_future()
    timer = threading.Timer(0.05, lambda: loop.call_soon_threadsafe(woken.set_result, "woken"))
    timer.start()
    started = time.monotonic()
    try:
        assert loop.run_until_complete(asyncio.wait_for(woken, 20)) == "woken"
        assert time.monotonic() - started < 10
        loop.run_until_complete(asyncio.sleep(0.01))
    finally:
        timer.join()
        loop.close()
