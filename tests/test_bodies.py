"""What a body does to its surroundings, and its surroundings to it: contexts, errors, listeners."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import json
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import Event, Job, JobState, Longshore, NotAJobFunction
from longshore.core.model import Why
from longshore.worker import teller
from tests.worker_tools import NOW, eventually

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


# --- contexts ---


@pytest.mark.parametrize("awaited", [False, True])
def test_what_a_job_sets_in_its_context_is_nobodys_after_it(
    jobs: Longshore, *, awaited: bool
) -> None:
    seen: list[str] = []

    def look(name: str) -> None:
        seen.append(tenant.get())
        tenant.set(name)

    async def alook(name: str) -> None:
        look(name)
        await asyncio.sleep(0)

    job = jobs.job(kind="look")(alook if awaited else look)
    jobs.enqueue_many(job.bind(f"t{number}") for number in range(5))
    jobs.worker(threads=1).run(until_empty=True)
    assert seen == ["nobody"] * 5


def test_an_idle_slot_keeps_nothing_of_the_job_that_failed(jobs: Longshore) -> None:
    class Large:
        pass

    held: list[weakref.ref[Large]] = []

    @jobs.job(kind="heavy", max_attempts=1)
    def heavy() -> None:
        large = Large()
        held.append(weakref.ref(large))
        raise RuntimeError

    with jobs.worker(threads=2).running():
        heavy.enqueue().wait(timeout=10)

        def freed() -> bool:
            gc.collect()
            return held[0]() is None

        eventually(freed)


# --- bodies that do not do what they seem to ---


def test_a_plain_decorator_around_a_coroutine_is_a_failed_attempt(jobs: Longshore) -> None:
    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @jobs.job(kind="charge", max_attempts=1)
    @timed
    async def charge() -> int:
        return 1

    handle = charge.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    assert handle.refresh().state is JobState.DEAD
    [run] = handle.runs
    assert run.error == "TypeError"
    assert "nobody awaits" in (run.message or "")


def test_a_body_that_cancels_every_task_loses_no_job(jobs: Longshore) -> None:
    ran: list[int] = []

    @jobs.job(kind="tidy")
    async def tidy() -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    @jobs.job(kind="plain", backoff=NOW)
    async def plain(number: int) -> None:
        ran.append(number)

    jobs.enqueue_many([tidy.bind(), *(plain.bind(number) for number in range(3))])
    jobs.worker(threads=4).run(until_empty=True)
    assert sorted(ran) == [0, 1, 2]
    assert {handle.state for handle in jobs.query} == {JobState.SUCCEEDED}


@pytest.mark.parametrize("awaited", [False, True])
def test_an_error_that_cannot_be_looked_at_is_an_error(jobs: Longshore, *, awaited: bool) -> None:
    class Evil(Exception):
        @property
        def __class__(self) -> Any:
            raise ZeroDivisionError

    def bad() -> None:
        raise Evil

    async def abad() -> None:
        raise Evil

    handle = jobs.job(kind="bad", max_attempts=1)(abad if awaited else bad).enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    assert handle.refresh().state is JobState.DEAD
    assert "ZeroDivisionError" in (handle.runs[0].message or "")


def test_tasks_that_bodies_leave_behind_come_to_their_end(jobs: Longshore) -> None:
    cleaned = threading.Event()
    left: list[asyncio.Task[None]] = []

    async def lingers() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.set()

    @jobs.job(kind="leaves")
    async def leaves() -> None:
        left.append(asyncio.create_task(lingers()))
        await asyncio.sleep(0)

    leaves.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    assert cleaned.wait(10)


# --- verdicts ---


def test_the_time_that_listeners_take_is_none_of_the_jobs(jobs: Longshore) -> None:
    @jobs.on("job.started")
    def slow(_event: Event) -> None:
        time.sleep(0.3)

    @jobs.job(kind="short", timeout="200ms", max_attempts=1)
    def short() -> str:
        return "in time"

    @jobs.job(kind="long", timeout="200ms", max_attempts=1)
    def long() -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            time.sleep(0.01)

    handles = [short.enqueue(), long.enqueue()]
    jobs.worker(threads=1).run(until_empty=True)
    assert handles[0].result(timeout=1) == "in time"
    assert handles[1].refresh().state is JobState.DEAD


def test_the_first_verdict_is_how_a_run_ends(jobs: Longshore) -> None:
    begun, go_on = threading.Event(), threading.Event()

    @jobs.job(kind="late", timeout="100ms", max_attempts=1)
    def late() -> None:
        try:
            while True:
                time.sleep(0.01)
        finally:
            begun.set()
            while not go_on.wait(0.01):
                pass

    handle = late.enqueue()
    with jobs.worker(threads=1, shutdown_timeout=10).running():
        assert begun.wait(10)
        handle.cancel()
        time.sleep(1.5)  # a beat hears of it
        go_on.set()
        handle.wait(timeout=10)
    assert [run.why for run in handle.refresh().runs] == [Why.TIMED_OUT]


def test_a_run_that_was_late_before_its_worker_stopped_was_late(tmp_path: Path) -> None:
    app = Longshore(f"sqlite:///{tmp_path}/jobs.db")
    begun, free = threading.Event(), threading.Event()

    @app.job(kind="late", timeout="100ms", backoff=NOW)
    def late() -> None:
        try:
            while True:
                time.sleep(0.01)
        finally:
            begun.set()
            while not free.wait(0.01):
                pass

    with app.worker(threads=1, shutdown_timeout=0).running():
        handle = late.enqueue()
        assert begun.wait(10)
    assert [run.why for run in handle.refresh().runs] == [Why.TIMED_OUT]
    free.set()
    app.close()


# --- who is told ---


def test_a_slow_listener_holds_up_no_job(jobs: Longshore) -> None:
    told: list[str] = []
    free = threading.Event()

    @jobs.on("job.succeeded")
    def slow(event: Event) -> None:
        free.wait(20)
        told.append(event.kind or "")

    @jobs.job(kind="quick")
    def quick(number: int) -> int:
        return number

    with jobs.worker(threads=2).running():
        for number in range(20):
            assert quick.enqueue(number).result(timeout=10) == number
        assert told == []
        free.set()
    assert told == ["quick"] * 20


def test_what_a_listener_enqueues_runs_before_the_worker_is_done(jobs: Longshore) -> None:
    ran: list[str] = []

    @jobs.job(kind="first")
    def first() -> None:
        ran.append("first")

    @jobs.job(kind="second")
    def second() -> None:
        ran.append("second")

    @jobs.on("job.succeeded")
    def follow(event: Event) -> None:
        time.sleep(0.2)
        if event.kind == "first":
            second.enqueue()

    first.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    assert ran == ["first", "second"]


def test_what_cannot_be_told_any_more_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(teller, "MOST", 2)
    told: list[int] = []
    begun, free = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        free.wait(20)

    made = teller.Teller()
    made.say(slow)
    assert begun.wait(10)
    for number in range(5):
        made.say(functools.partial(told.append, number))
    assert made.busy
    free.set()
    made.close(10)
    assert told == [0, 1]
    assert not made.busy
    assert sum("1 calls" in line or "2 calls" in line for line in caplog.messages) == 2


def test_who_closes_waits_no_longer_than_he_said(caplog: pytest.LogCaptureFixture) -> None:
    free = threading.Event()
    made = teller.Teller()
    made.say(lambda: free.wait(20))
    made.say(lambda: None)
    began = time.monotonic()
    made.close(0.1)
    assert time.monotonic() - began < 5
    free.set()
    assert "1 calls" in caplog.text


def test_a_hook_that_nobody_would_await_is_refused(jobs: Longshore) -> None:
    with pytest.raises(NotAJobFunction, match="after_death"):

        class Alarms(Job, app=jobs):
            kind = "alarms"

            def perform(self) -> None: ...

            async def after_death(self, error: BaseException | None) -> None: ...


def test_a_filter_that_raises_fails_no_job(jobs: Longshore) -> None:
    class Raises(logging.Filter):
        def filter(self, _record: logging.LogRecord) -> bool:
            raise RuntimeError

    @jobs.job(kind="speaks", max_attempts=1)
    def speaks() -> str:
        from longshore import current

        context = current()
        assert context is not None
        context.log.info("a word")
        return "said"

    logger = logging.getLogger("longshore.job.speaks")
    loud = Raises()
    logger.addFilter(loud)
    try:
        handle = speaks.enqueue()
        jobs.worker(threads=1).run(until_empty=True)
    finally:
        logger.removeFilter(loud)
    assert handle.result(timeout=1) == "said"
    assert [line.message for line in handle.logs()] == ["a word"]


# --- the application is closed, and where its jobs are declared ---


@pytest.mark.timeout(60)
def test_closing_the_application_drains_its_worker_first(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    app, begun = Longshore(url), threading.Event()

    @app.job(kind="slow")
    def slow() -> None:
        begun.set()
        time.sleep(0.5)

    with app.worker(threads=2).running():
        handle = slow.enqueue()
        assert begun.wait(10)
        app.close()
    other = Longshore(url)
    assert other.get(handle.id).state is JobState.SUCCEEDED
    other.close()


MODULES = {
    "shop/__init__.py": "",
    "shop/core.py": "from longshore import Longshore\njobs = Longshore('sqlite:///jobs.db')\n",
    "shop/tasks.py": """
import os
from shop.core import jobs

@jobs.job(isolation="process", max_attempts=1)
def apart() -> int:
    return os.getpid()
""",
    "main.py": """
import os
from shop.core import jobs
from shop.tasks import apart

if __name__ == "__main__":
    jobs.migrate()
    with jobs.worker(threads=1).running():
        print(apart.enqueue().result(timeout=40) != os.getpid())
""",
    "nested.py": """
from shop.core import jobs

if __name__ == "__main__":
    @jobs.job(isolation="process", max_attempts=1, kind="hidden")
    def hidden() -> None: ...

    jobs.migrate()
    handle = hidden.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    print(handle.refresh().state, handle.runs[0].message)
""",
}


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("script", "said"),
    [("main.py", "True"), ("nested.py", "Declare it at the top of a module")],
)
def test_a_process_for_one_job_knows_what_its_worker_has_imported(
    tmp_path: Path, script: str, said: str
) -> None:
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert said in run(tmp_path, script).stdout


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_a_worker_that_looks_for_its_application_has_processes_for_one_job(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(MODULES["shop/core.py"] + MODULES["shop/tasks.py"])
    text = (tmp_path / "jobs.py").read_text().replace("from shop.core import jobs\n", "")
    (tmp_path / "jobs.py").write_text(text)
    run(tmp_path, "-m", "longshore", "enqueue", "apart")
    ended = run(tmp_path, "-m", "longshore", "worker", "--until-empty")
    assert "succeeded" in run(tmp_path, "-m", "longshore", "jobs", "list").stdout, ended.stderr


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    "how", [("-m", "shop.tasks"), ("shop/tasks.py",), ("-m", "multiprocessing_main")]
)
def test_a_script_gives_its_jobs_the_names_that_others_import(
    tmp_path: Path, how: tuple[str, ...]
) -> None:
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with (tmp_path / "shop/tasks.py").open("a") as file:
        file.write("\nprint(apart.kind)\n")
    (tmp_path / "multiprocessing_main.py").write_text(
        "import multiprocessing\nfrom longshore import Longshore\njobs = Longshore('memory://')\n"
        "@jobs.job\ndef apart() -> None: ...\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    process = context.Process(target=print, args=('begun',))\n"
        "    process.start()\n"
        "    process.join()\n"
        "print(apart.kind, flush=True)\n"
    )
    said = run(tmp_path, *how, PYTHONPATH=str(tmp_path)).stdout.splitlines()
    module = "multiprocessing_main" if "multi" in how[-1] else "shop.tasks"
    assert [line for line in said if line != "begun"] == [f"{module}.apart"] * len(
        [line for line in said if line != "begun"]
    )


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_a_body_that_closes_the_application_ends_its_process_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        MODULES["shop/core.py"]
        + "@jobs.job\ndef closes() -> None:\n    jobs.close()\n"
        + "@jobs.job\ndef plain() -> None: ...\n"
    )
    for kind in ("closes", "plain"):
        run(tmp_path, "-m", "longshore", "enqueue", kind)
    ended = run(tmp_path, "-m", "longshore", "worker", "--until-empty")
    listed = run(tmp_path, "-m", "longshore", "jobs", "list", "-o", "json").stdout
    states = {job["kind"]: job["state"] for job in json.loads(listed)["jobs"]}
    assert states["jobs.plain"] == "succeeded", ended.stderr
    assert states["jobs.closes"] != "running", ended.stderr


def run(folder: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A Python program in a folder, to its end."""
    ran = subprocess.run(
        [sys.executable, *command],
        check=False,
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=80,
    )
    assert ran.returncode == 0, ran.stderr
    return ran
