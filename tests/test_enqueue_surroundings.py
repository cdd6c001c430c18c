"""Enqueueing where it is hard, B27 to B31: forks, event loops, signals, and after the end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest

from longshore import (
    ClientClosed,
    Longshore,
    LongshoreWarning,
    StoreBusy,
    StoreError,
)

GIVEN_ID = "0193ab5c-0000-7000-8000-00000000abcd"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    app = Longshore(url)
    yield app
    app.close()


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Longshore]:
    """A store that another process can look at."""
    app = Longshore(f"sqlite:///{tmp_path}/jobs.db")
    yield app
    app.close()


def send(user_id: int, *, locale: str = "en") -> str:
    return f"{user_id}{locale}"


def payload(jobs: Longshore, job_id: str) -> Any:
    return msgspec.json.decode(jobs.get(job_id).record.payload)


# --- surroundings: B27 to B31 -------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_b27_a_forked_child_enqueues(stored: Longshore) -> None:
    """As a prefork web server does: made and used before the fork, used after it on both sides."""
    job = stored.job(kind="send")(send)
    before = job.enqueue(1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            handles = [job.enqueue(2), *stored.enqueue_many([job.bind(3)])]
            handles.append(asyncio.run(job.aenqueue(4)))
            os.write(writing, " ".join(handle.id for handle in handles).encode())
            status = 0
        finally:
            os._exit(status)
    after = job.enqueue(5)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read().split()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ids = [before.id, after.id, *told]
    numbers = sorted(payload(stored, job_id)["kwargs"]["user_id"] for job_id in ids)
    assert numbers == [1, 2, 3, 4, 5]


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_b27_a_fork_while_other_threads_enqueue(stored: Longshore) -> None:
    job = stored.job(kind="send")(send)
    job.enqueue(0)
    stop = threading.Event()

    def keep_going() -> None:
        while not stop.is_set():
            job.enqueue(1)

    threads = [threading.Thread(target=keep_going) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # a lock that nobody holds any more would never open
                status = 1
                try:
                    job.using(tags=["child"]).enqueue(2)
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert sum("child" in handle.record.tags for handle in stored.query) == 5


def test_b28_a_blocking_call_in_a_running_loop_warns_at_the_caller_and_works(
    jobs: Longshore,
) -> None:
    job = jobs.job(kind="send")(send)

    async def blocks() -> list[str]:
        calls: list[Callable[[], Any]] = [
            lambda: job.enqueue(1),
            lambda: job.bind(1).enqueue(),
            lambda: jobs.enqueue_many([job.bind(1)])[0],
            lambda: jobs.push({"kind": "send"}),
        ]
        ids: list[str] = []
        for call in calls:
            with pytest.warns(LongshoreWarning, match=r"event loop.*aenqueue") as caught:
                ids.append(call().id)
            assert [one.filename for one in caught] == [__file__]
        return ids

    assert len(set(asyncio.run(blocks()))) == 4
    assert jobs.query.count() == 4


def test_b28_awaiting_in_a_running_loop_and_calling_in_a_thread_are_silent(
    jobs: Longshore,
) -> None:
    job = jobs.job(kind="send")(send)

    async def right() -> None:
        await job.aenqueue(1)
        await asyncio.to_thread(job.enqueue, 2)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(right())
    assert jobs.query.count() == 2


def test_b28_aenqueue_without_a_loop_is_a_coroutine_that_did_nothing(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send)
    coroutine = job.aenqueue(1)
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
    coroutine.close()
    assert jobs.query.count() == 0


def test_b29_a_signal_handler_never_deadlocks(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send)
    outcomes: list[str | StoreBusy] = []

    def handle(_signal: int, _frame: FrameType | None) -> None:
        try:
            outcomes.append(job.enqueue(2).id)
        except StoreBusy as error:
            outcomes.append(error)

    started = time.perf_counter()
    job.enqueue(1)
    typical = min(time.perf_counter() - started, 0.01)
    enqueued = 1
    before = signal.signal(signal.SIGALRM, handle)
    deadline = time.monotonic() + 20
    try:
        # Until both were seen: a handler in the middle of a call, and one beside it.
        while time.monotonic() < deadline and {type(one) for one in outcomes} != {str, StoreBusy}:
            signal.setitimer(signal.ITIMER_REAL, 1e-6 + typical * (enqueued % 40) / 20)
            job.enqueue(1)
            enqueued += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    refused = [one for one in outcomes if isinstance(one, StoreBusy)]
    assert refused
    assert "middle of a call" in str(refused[0])
    assert "nothing was done" in str(refused[0])
    assert jobs.query.count() == enqueued + len(outcomes) - len(refused)


def test_b29_a_finaliser_never_deadlocks(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send)
    outcomes: list[object] = []

    class Leaving:
        def __del__(self) -> None:
            try:
                outcomes.append(job.enqueue(2))
            except StoreBusy as error:
                outcomes.append(error)

    def encoded() -> Iterator[Any]:
        for number in range(200):
            leaving = Leaving()
            leaving.itself = leaving  # type: ignore[attr-defined]  # left to the collector
            del leaving
            yield job.bind(number)

    jobs.enqueue_many(encoded())
    for number in range(200):
        job.enqueue(number)
    __import__("gc").collect()
    assert len(outcomes) == 200
    refused = [one for one in outcomes if isinstance(one, StoreBusy)]
    assert jobs.query.count() == 600 - len(refused)


@pytest.mark.parametrize("store", ["memory://", "sqlite:///{}/jobs.db"])
def test_b29_enqueueing_while_the_interpreter_ends_does_not_hang(
    store: str, tmp_path: Path
) -> None:
    script = tmp_path / "ending.py"
    script.write_text(
        textwrap.dedent(f"""
        import atexit, sys
        from longshore import Longshore

        jobs = Longshore({store.format(tmp_path)!r})

        @jobs.job(kind="send")
        def send(number: int) -> None: ...

        class Leaving:
            def __del__(self):
                send.enqueue(3)

        send.enqueue(1)
        atexit.register(lambda: print("at exit", send.enqueue(2).state))
        leaving = Leaving()
        leaving.itself = leaving
        sys.leaving = leaving
        """)
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0
    assert "at exit available" in done.stdout


def test_b30_after_close(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send)
    handle, bound = job.enqueue(1), job.bind(2)
    jobs.close()
    jobs.close()
    calls: list[Callable[[], Any]] = [
        lambda: job.enqueue(1),
        bound.enqueue,
        lambda: asyncio.run(job.aenqueue(1)),
        lambda: jobs.enqueue_many([job.bind(1)]),
        lambda: jobs.push({"kind": "send"}),
        lambda: jobs.get(handle.id),
        handle.refresh,
        handle.cancel,
        handle.result,
        lambda: asyncio.run(handle.aresult()),
        jobs.query.count,
    ]
    for call in calls:
        with pytest.raises(ClientClosed, match=r"closed.*new one"):
            call()
    assert job(3) == "3en", "a plain call needs no store"


def test_b30_never_opened_and_closed() -> None:
    jobs = Longshore("memory://")
    jobs.close()
    with pytest.raises(ClientClosed):
        jobs.push({"kind": "send"})


def test_b30_aclose(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send)

    async def use_and_close() -> None:
        await job.aenqueue(1)
        await jobs.aclose()

    asyncio.run(use_and_close())
    with pytest.raises(ClientClosed):
        job.enqueue(1)


def _missing_folder(folder: Path) -> Path:
    return folder / "nowhere" / "jobs.db"


def _a_folder(folder: Path) -> Path:
    (folder / "jobs.db").mkdir()
    return folder / "jobs.db"


def _not_a_database(folder: Path) -> Path:
    (folder / "jobs.db").write_bytes(b"not a database, but longer than a header " * 100)
    return folder / "jobs.db"


@pytest.mark.parametrize("broken", [_missing_folder, _a_folder, _not_a_database])
def test_b31_a_file_that_cannot_be_used(broken: Callable[[Path], Path], tmp_path: Path) -> None:
    path = broken(tmp_path)
    jobs = Longshore(f"sqlite:///{path}")
    job = jobs.job(kind="send")(send)
    started = time.monotonic()
    for call in (lambda: job.enqueue(1), lambda: asyncio.run(job.aenqueue(1))):
        with pytest.raises(StoreError) as raised:
            call()
        assert str(path) in str(raised.value)
    assert time.monotonic() - started < 15
    jobs.close()
