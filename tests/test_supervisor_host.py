"""What an application finds in the processes of a worker: its signals, its logging, its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from longshore import JobState, Longshore
from longshore.core.model import Why
from tests.harbour_tools import Harbour, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

APP = """
import atexit, logging, sys, threading
from pathlib import Path
from longshore import Longshore

{setting_up}
logging.getLogger("shop").warning("imported")
jobs = Longshore()

@jobs.job(kind="end", max_attempts=1)
def end() -> None:
    {ending}
    raise ValueError("no luck")
"""


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Harbour]:
    made = Harbour(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def run_one(folder: Path, *, setting_up: str = "", ending: str = "pass", more: str = "-q") -> str:
    """What a worker says that runs one job of such an application."""
    (folder / "shop.py").write_text(APP.format(setting_up=setting_up, ending=ending))
    url = f"sqlite:///{folder}/jobs.db"
    app = Longshore(url)
    app.job(kind="end")(lambda: None).enqueue()
    app.close()
    done = subprocess.run(
        [sys.executable, "-m", "longshore", "-A", "shop", more, "worker", "--max-jobs", "1"],
        check=False,
        cwd=folder,
        env=os.environ | {"LONGSHORE_STORE": url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("kind", ["nap", "isolated_nap"])
def test_quit_for_all_processes_gives_jobs_back_and_kills_none(harbour: Harbour, kind: str) -> None:
    handle = getattr(harbour.app, kind).enqueue(30)
    worker = harbour.worker(processes=2)
    harbour.await_ready(2)
    eventually(lambda: harbour.starts(handle.id), 30)
    os.killpg(worker.pid, signal.SIGQUIT)
    assert worker.wait(timeout=20) == 9, harbour.logs()
    record = handle.refresh().record
    assert (record.state, record.interruptions) == (JobState.AVAILABLE, 0)
    assert [run.why for run in record.runs] == [Why.RELEASED]


@pytest.mark.parametrize("kind", ["nap", "isolated_nap"])
def test_hup_for_all_processes_lets_jobs_finish(harbour: Harbour, kind: str) -> None:
    handle = getattr(harbour.app, kind).enqueue(3)
    worker = harbour.worker()
    eventually(lambda: harbour.starts(handle.id), 30)
    os.killpg(worker.pid, signal.SIGHUP)
    assert handle.result(timeout=20) == "rested"
    assert handle.refresh().record.run == 1
    eventually(lambda: harbour.logs().count("slots") == 2, 30, "its new start")


def test_ctrl_c_for_all_processes_lets_jobs_finish(harbour: Harbour) -> None:
    handle = harbour.app.nap.enqueue(2)
    worker = harbour.worker()
    eventually(lambda: harbour.starts(handle.id), 30)
    os.killpg(worker.pid, signal.SIGINT)
    assert worker.wait(timeout=20) == 0, harbour.logs()
    assert handle.refresh().record.run == 1


def test_programs_that_a_job_starts_hear_signals_as_ever(harbour: Harbour) -> None:
    harbour.worker()
    assert harbour.app.program.enqueue().result(timeout=30) == -signal.SIGINT


def test_copies_of_its_process_that_a_job_makes_end_when_told_to(harbour: Harbour) -> None:
    worker = harbour.worker()
    assert harbour.app.pool.enqueue().result(timeout=30) == [1, 2]
    copy = psutil.Process(harbour.app.leave_copy.enqueue().result(timeout=30))
    try:
        copy.terminate()
        eventually(lambda: not alive(copy), 10, "the end of the copy")
    finally:
        if alive(copy):
            copy.kill()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0, harbour.logs()


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    "ending",
    [
        "pass",
        "sys.stdout.close()",
        "threading.Thread(target=threading.Event().wait).start()",
        "atexit.register(threading.Event().wait)",
    ],
)
def test_exit_handlers_run_and_nothing_keeps_a_child_from_its_end(
    tmp_path: Path, ending: str
) -> None:
    # The last one registered is the first to run: one that hangs keeps the others from it.
    began = time.monotonic()
    said = run_one(tmp_path, ending=f"atexit.register(lambda: Path('over').touch()); {ending}")
    assert time.monotonic() - began < 20
    assert (tmp_path / "over").exists() is not ending.startswith("atexit")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("setting_up", "form"),
    [
        ("", r"\d{4}-.* WARNING longshore.worker  end"),
        ("logging.warning('nobody chose that form')", r"\d{4}-.* WARNING longshore.worker  end"),
        ("logging.basicConfig(format='mine %(name)s %(message)s')", "mine longshore.worker end"),
    ],
    ids=["nothing", "by-the-way", "of-its-own"],
)
def test_an_application_may_set_up_logging(tmp_path: Path, setting_up: str, form: str) -> None:
    said = run_one(tmp_path, setting_up=setting_up, more="-v")
    assert re.search(f"^{form}.*: no luck$", said, re.MULTILINE), said
    assert said.count("imported") == 1, "what is said meanwhile is heard"


KILLED_AT_ONCE = """
import os, signal, time
from longshore.worker.signals import handle_here
handle_here(signal.SIGTERM, lambda *_: None)
for _ in range(20):
    copy = os.fork()
    if not copy:
        time.sleep(60)
        os._exit(0)
    os.kill(copy, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while os.waitpid(copy, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(copy, signal.SIGKILL)
            raise SystemExit("a copy goes on")
        time.sleep(0.01)
os.kill(os.getpid(), signal.SIGTERM)
print("it goes on, its copies ended")
"""


def test_a_copy_that_is_told_to_end_as_it_begins_ends() -> None:
    program = [sys.executable, "-c", KILLED_AT_ONCE]
    done = subprocess.run(program, capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout == "it goes on, its copies ended\n", done.stderr
