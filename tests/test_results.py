"""Results that somebody awaits, and progress seen by others: how soon, on every store."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from longshore import JobDead, JobHandle, Longshore, ResultGone
from tests.places import Place, each, place
from tests.worker_tools import eventually

APP = """
import sys, time
from longshore import CONTEXT, JobContext, Longshore

jobs = Longshore(sys.argv[1], prefix=sys.argv[2], durability=sys.argv[3])


@jobs.job(kind="nap")
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return time.time()


@jobs.job(kind="talk")
def talk(words: int, ctx: JobContext = CONTEXT) -> list[float]:
    said = []
    for number in range(words):
        said.append(time.time())
        ctx.progress(number + 1, words)
        ctx.log.info("word %d", number + 1)
        time.sleep(0.1)
    return said


if __name__ == "__main__":
    jobs.worker(threads=4).run()
"""


@contextmanager
def working(where: Place, folder: Path) -> Iterator[Longshore]:
    """An application here, and its worker in another process."""
    (folder / "app_of_results.py").write_text(APP)
    # The server for tests keeps nothing on its disk, and would say so.
    durability = "normal" if where.url.startswith("redis") else "full"
    jobs = Longshore(where.url, prefix=where.prefix, durability=durability)

    @jobs.job(kind="nap")
    def nap(seconds: float) -> float: ...

    @jobs.job(kind="talk")
    def talk(words: int) -> list[float]: ...

    jobs.migrate()
    worker = subprocess.Popen(
        [sys.executable, str(folder / "app_of_results.py"), where.url, where.prefix, durability]
    )
    try:
        jobs.push({"kind": "nap", "kwargs": {"seconds": 0}}).result(timeout=30)
        yield jobs
    finally:
        worker.terminate()
        worker.wait(30)
        jobs.close()


def tell(what: str, late: list[float]) -> None:
    """One line for who wants to know, shown with -rP."""
    ordered = sorted(1000 * one for one in late)
    middle, most = ordered[len(ordered) // 2], ordered[len(ordered) * 95 // 100]
    text = f"{what}: {middle:.1f} ms in the middle, {most:.1f} ms for 95 of 100\n"
    sys.stdout.write(text)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", each("sqlite", "postgres18", "mariadb", "redis"))
def test_a_result_comes_soon_after_the_end_of_its_job(kind: str, tmp_path: Path) -> None:
    """The bound is that of a busy machine; docs/benchmarks.md has what an idle one measures."""
    with place(kind, tmp_path) as where, working(where, tmp_path) as jobs:
        late: list[float] = []
        for number in range(100):
            handle = jobs.push({"kind": "nap", "kwargs": {"seconds": 0.01 * (number % 3)}})
            ended = handle.result(timeout=10)
            late.append(time.time() - ended)
    tell(f"results from {kind}", late)
    # A poll of a second would make it half of one in the middle.
    assert statistics.median(late) < 0.1, sorted(late)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", each("sqlite", "postgres18", "mariadb", "redis"))
def test_progress_and_log_are_seen_by_another_process(kind: str, tmp_path: Path) -> None:
    with place(kind, tmp_path) as where, working(where, tmp_path) as jobs:
        handle = jobs.push({"kind": "talk", "kwargs": {"words": 20}})
        seen: dict[int, float] = {}
        lines: dict[int, float] = {}
        while len(seen) < 20 and not handle.refresh().record.finalized_at:
            progress = handle.progress
            if progress is not None:
                for number in range(1, int(progress.done) + 1):
                    seen.setdefault(number, time.time())
            for line in handle.logs():
                lines.setdefault(int(line.message.split()[1]), time.time())
            time.sleep(0.01)
        said = handle.result(timeout=10)
        assert len(handle.logs()) == 20
    late = sorted(seen[number] - said[number - 1] for number in seen)
    tell(f"progress through {kind}", late)
    assert len(seen) > 10
    assert len(lines) > 10
    # On an idle machine each of them is.
    assert statistics.median(late) < 0.25, late
    assert late[-1] < 3.0, late


@pytest.mark.parametrize("nothing_kept", [True, False])
def test_who_waits_gets_the_value_of_a_job_of_which_nothing_is_kept(
    tmp_path: Path, nothing_kept: bool
) -> None:
    kept = {"keep_succeeded": 0, "keep_dead": 0} if nothing_kept else {}
    jobs = Longshore(f"sqlite:///{tmp_path}/jobs.db", **kept)
    go = threading.Event()

    @jobs.job(kind="value", keep_result=0, max_attempts=1)
    def value(n: int) -> int:
        go.wait(10)
        if n == 0:
            raise ValueError("nought")
        return n

    first, dead, unseen = value.enqueue(1), value.enqueue(0), value.enqueue(3)
    got: list[object] = []
    waiters = [
        threading.Thread(target=lambda one=one: got.append(_outcome(one))) for one in (first, dead)
    ]
    for waiter in waiters:
        waiter.start()
    store = jobs.client.store
    eventually(
        lambda: all(
            record.keep_result for record in store.run(store.get([first.id, dead.id])).values()
        )
    )
    go.set()
    jobs.worker(threads=1).run(until_empty=True)
    for waiter in waiters:
        waiter.join(10)
    assert sorted(map(str, got)) == [
        "1",
        f"job {dead.id} (value) is dead after 1 attempt: ValueError: nought",
    ]
    if nothing_kept:
        with pytest.raises(ResultGone):
            unseen.result(timeout=1)
    else:
        assert unseen.result(timeout=1) == 3
    jobs.close()


def _outcome(handle: JobHandle[int]) -> object:
    try:
        return handle.result(timeout=10)
    except JobDead as error:
        return error
