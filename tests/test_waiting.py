"""Many who wait for results in one process: they share looks at the store, and all are woken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import JobHandle, Longshore, ResultTimeout, hints
from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import ClaimRequest, Line
from longshore.errors import StoreUnavailable
from tests.places import each, place
from tests.store_tools import register
from tests.worker_tools import eventually

WAITERS = 200


class Looks:
    """Counts reads of jobs, of how many each was, and lets some fail."""

    def __init__(self, jobs: Longshore) -> None:
        self.sizes: list[int] = []
        self.failing = 0
        store: Any = jobs.store
        get = store.get

        def counted(ids: list[str]) -> Any:
            self.sizes.append(len(ids))
            if self.failing:
                self.failing -= 1
                raise StoreUnavailable("gone for a moment")
            return get(ids)

        store.get = counted


class Waiting:
    """Threads, and as many coroutines, that each wait for the result of a job."""

    def __init__(self, threads: list[JobHandle[int]], coroutines: list[JobHandle[int]]) -> None:
        self.got: list[int] = []
        self._threads = [threading.Thread(target=self._wait, args=(one,)) for one in threads]
        self._threads.append(threading.Thread(target=asyncio.run, args=(self._await(coroutines),)))
        for thread in self._threads:
            thread.start()

    def _wait(self, handle: JobHandle[int]) -> None:
        self.got.append(handle.result(timeout=60))

    async def _await(self, handles: list[JobHandle[int]]) -> None:
        self.got += await asyncio.gather(*(handle.aresult(timeout=60) for handle in handles))

    def join(self) -> list[int]:
        for thread in self._threads:
            thread.join(60)
        return sorted(self.got)


@pytest.fixture(params=each("memory", "sqlite", "postgres18", "mariadb", "redis"))
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    with place(request.param, tmp_path) as where:
        durability = "normal" if where.url.startswith("redis") else "full"
        # A poll that takes far longer than a test: who waits must be woken.
        app = Longshore(where.url, prefix=where.prefix, durability=durability, poll_interval="1h")
        app.migrate()
        yield app
        app.close()


def add(number: int) -> int:
    return number


def enqueued(jobs: Longshore, count: int) -> list[JobHandle[int]]:
    job = jobs.job(kind="add")(add)
    return jobs.enqueue_many(job.bind(number) for number in range(count))


def claimed(jobs: Longshore, handles: list[JobHandle[int]], claim_id: int = 1) -> list[Ending]:
    """Take all of these; their endings, each with its number as the result."""
    store = jobs.store
    if claim_id == 1:
        register(store, lease=3_600_000_000)
    wanted = ClaimRequest("p", claim_id, len(handles), (Line(("*",)),))
    taken = store.run(store.claim(wanted)).jobs
    assert len(taken) == len(handles)
    numbers = {handle.id: number for number, handle in enumerate(handles)}
    return [
        Ending(
            Lease(one.id, "p", one.run), JobState.SUCCEEDED, result=str(numbers[one.id]).encode()
        )
        for one in taken
    ]


@pytest.mark.timeout(120)
def test_two_hundred_who_wait_share_each_look(jobs: Longshore) -> None:
    handles = enqueued(jobs, WAITERS)
    endings = claimed(jobs, handles)
    looks = Looks(jobs)
    before = threading.active_count()
    waiting = Waiting(handles[: WAITERS // 2], handles[WAITERS // 2 :])
    eventually(lambda: WAITERS in looks.sizes, 30)
    # One that listens, besides those that wait and the loop's with its helpers.
    assert threading.active_count() <= before + WAITERS // 2 + 40
    looks.sizes.clear()
    for start in range(0, WAITERS, 50):
        jobs.store.run(jobs.store.finish(endings[start : start + 50]))
    assert waiting.join() == list(range(WAITERS))
    # A report may be heard of in several hints; alone each of them would look at every one.
    assert 1 <= len(looks.sizes) <= 20, looks.sizes


def test_who_gives_up_leaves_the_others_waiting(jobs: Longshore) -> None:
    first, second = enqueued(jobs, 2)
    endings = claimed(jobs, [first, second])
    looks = Looks(jobs)
    waiting = Waiting([first], [second])
    eventually(lambda: 2 in looks.sizes, 30)
    with pytest.raises(ResultTimeout, match="was still running"):
        first.result(timeout=0.05)
    jobs.store.run(jobs.store.finish(endings))
    assert waiting.join() == [0, 1]
    assert first.result(timeout=0) == 0, "it has ended, so there is nothing to wait for"


def test_a_look_that_fails_ends_no_wait(jobs: Longshore) -> None:
    handles = enqueued(jobs, 4)
    endings = claimed(jobs, handles)
    looks = Looks(jobs)
    waiting = Waiting(handles[:2], handles[2:])
    eventually(lambda: 4 in looks.sizes, 30)
    looks.failing = 1
    jobs.store.run(jobs.store.finish(endings[:1]))
    eventually(lambda: not looks.failing, 30)
    jobs.store.run(jobs.store.finish(endings[1:]))
    assert waiting.join() == [0, 1, 2, 3]


def test_who_waits_after_nobody_did_is_woken_too(
    jobs: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "_LINGER", 0.01)
    for number in range(3):
        (handle,) = enqueued(jobs, 1)
        (ending,) = claimed(jobs, [handle], number + 1)
        looks = Looks(jobs)
        waiting = Waiting([handle], [])
        eventually(lambda seen=looks.sizes: len(seen) > 1, 30)
        jobs.store.run(jobs.store.finish([ending]))
        assert waiting.join() == [0]
        eventually(lambda: "longshore-hints" not in map(_name, threading.enumerate()))


def test_a_thread_that_fails_ends_no_wait(jobs: Longshore, monkeypatch: pytest.MonkeyPatch) -> None:
    handles = enqueued(jobs, 2)
    endings = claimed(jobs, handles)
    watch, failed = jobs.store.watch, threading.Event()

    def failing() -> Any:
        made = watch()
        if not failed.is_set():
            monkeypatch.setattr(made, "wait", fail)
        return made

    def fail(_timeout: float) -> bool:
        failed.set()
        raise RuntimeError("a watch that breaks")

    monkeypatch.setattr(jobs.store, "watch", failing)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    looks = Looks(jobs)
    waiting = Waiting(handles[:1], handles[1:])
    eventually(lambda: failed.is_set() and 2 in looks.sizes, 30)
    jobs.store.run(jobs.store.finish(endings))
    assert waiting.join() == [0, 1]


def _name(thread: threading.Thread) -> str:
    return thread.name
