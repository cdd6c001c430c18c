"""Results that somebody awaits, and progress seen by others: how soon, on every store."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from longshore import CONTEXT, JobContext, JobDead, JobHandle, Longshore, ResultGone
from longshore.core.model import Patch
from longshore.worker.reports import PROGRESS
from tests.places import Place, each, place
from tests.worker_tools import eventually

#: What a job says is seen by others within a quarter of a second.
SOON = 0.25

APP = """
import os, time
from longshore import CONTEXT, JobContext, Longshore

jobs = Longshore()


@jobs.job(kind="nap")
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return time.time()


@jobs.job(kind="talk")
def talk(words: int, go: str = "", ctx: JobContext = CONTEXT) -> list[float]:
    said = []
    for number in range(words):
        said.append(time.time())
        ctx.progress(number + 1, words)
        ctx.log.info("word %d", number + 1)
        time.sleep(0.1)
        while number == 0 and go and not os.path.exists(go):
            time.sleep(0.01)
    return said


if __name__ == "__main__":
    jobs.worker(threads=4).run()
"""


@contextmanager
def working(where: Place, folder: Path) -> Iterator[Longshore]:
    """An application here, and its worker in another process."""
    (folder / "app_of_results.py").write_text(APP)
    # A poll that takes longer than a test may: who waits for a result must be woken.
    durability = environment(where)["LONGSHORE_DURABILITY"]
    jobs = Longshore(where.url, prefix=where.prefix, durability=durability, poll_interval="1h")

    @jobs.job(kind="nap")
    def nap(seconds: float) -> float: ...

    @jobs.job(kind="talk")
    def talk(words: int, go: str = "") -> list[float]: ...

    jobs.migrate()
    worker = subprocess.Popen(
        [sys.executable, str(folder / "app_of_results.py")], env=environment(where)
    )
    try:
        jobs.push({"kind": "nap", "kwargs": {"seconds": 0}}).result(timeout=30)
        yield jobs
    finally:
        worker.terminate()
        worker.wait(30)
        jobs.close()


def environment(where: Place) -> dict[str, str]:
    """For the application in another process."""
    # The server for tests keeps nothing on its disk, and would say so.
    durability = "normal" if where.url.startswith("redis") else "full"
    return {**os.environ, **where.environment, "LONGSHORE_DURABILITY": durability}


def tell(what: str, late: list[float]) -> None:
    """One line for who wants to know, shown with -rP."""
    ordered = sorted(1000 * one for one in late)
    middle, most = ordered[len(ordered) // 2], ordered[len(ordered) * 95 // 100]
    text = f"{what}: {middle:.1f} ms in the middle, {most:.1f} ms for 95 of 100\n"
    sys.stdout.write(text)


@pytest.mark.timed
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


@pytest.mark.timed
@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", each("sqlite", "postgres18", "mariadb", "redis"))
def test_progress_and_log_are_seen_by_another_process(kind: str, tmp_path: Path) -> None:
    with place(kind, tmp_path) as where, working(where, tmp_path) as jobs:
        late = _talked(jobs)
    tell(f"progress through {kind}", late)
    # On an idle machine each of them is.
    assert statistics.median(late) < SOON, late
    assert late[-1] < 3.0, late


def _talked(jobs: Longshore) -> list[float]:
    """How late what a job says is seen here, seconds; ascending."""
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
    assert len(seen) > 10
    assert len(lines) > 10
    return sorted(seen[number] - said[number - 1] for number in seen)


@pytest.mark.timed
@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", each("sqlite", "postgres18", "mariadb", "redis"))
def test_a_followed_log_is_seen_as_soon(kind: str, tmp_path: Path) -> None:
    with place(kind, tmp_path) as where, working(where, tmp_path) as jobs:
        go = tmp_path / "go"
        handle = jobs.push({"kind": "talk", "kwargs": {"words": 20, "go": str(go)}})
        seen: dict[int, float] = {}
        command = [sys.executable, "-m", "longshore", "-A", "app_of_results:jobs"]
        with subprocess.Popen(
            [*command, "jobs", "logs", "--follow", handle.id, "-o", "jsonl"],
            env={**environment(where), "PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
        ) as follower:
            assert follower.stdout is not None
            for line in follower.stdout:
                at = time.time()
                seen.setdefault(int(json.loads(line)["message"].split()[1]), at)
                go.touch()  # the first word was heard, so somebody follows: go on
        said = handle.result(timeout=10)
        assert follower.returncode == 0
    assert sorted(seen) == list(range(1, 21)), "each line, and it ended with the job"
    late = sorted(seen[number] - said[number - 1] for number in range(2, 21))
    tell(f"a log followed through {kind}", late)
    # On an idle machine each of them is, on the busiest every fourth.
    assert late[len(late) // 4] < 0.25, late


@pytest.mark.timeout(60)
def test_a_burst_is_saved_every_quarter_of_a_second(tmp_path: Path) -> None:
    jobs = Longshore(f"sqlite:///{tmp_path}/jobs.db")
    saved: list[tuple[float, int, float]] = []
    store: Any = jobs.client.store
    save = store.save

    def counted(patches: Sequence[Patch]) -> Any:
        (patch,) = patches
        assert patch.progress is not None
        saved.append((time.monotonic(), len(patch.lines), patch.progress.done))
        return save(patches)

    store.save = counted

    @jobs.job(kind="burst")
    def burst(ctx: JobContext = CONTEXT) -> int:
        end, said = time.monotonic() + 1.5, 0
        while time.monotonic() < end:
            said += 1
            ctx.progress(said)
            ctx.log.info("line %d", said)
            time.sleep(0.002)
        return said

    handle = burst.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    said = handle.result(timeout=1)
    began, ended = saved[0][0], saved[-1][0]
    assert saved[-1][2] == said, "what it said last was saved before its end"
    assert sum(lines for _, lines, _ in saved) == said
    # One write each time, however much was said, and one more at the end of the job.
    assert 3 <= len(saved) <= (ended - began) / PROGRESS + 2, saved
    assert saved[0][2] < 20, "the first word is saved at once"
    jobs.close()


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
