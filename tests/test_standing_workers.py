"""A worker with nothing to do on Redis or Valkey, of which a claim stands with the server."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from longshore import Longshore
from longshore.core.model import JobState
from longshore.core.store_url import parse_url
from tests import redis_tools
from tests.fault_proxy import FaultProxy
from tests.harbour_tools import Harbour, are_stopped, eventually
from tests.places import Place
from tests.redis_tools import PLENTY

pytestmark = pytest.mark.servers

where, client = redis_tools.where, redis_tools.client


class Idle:
    """An application with a worker inside that has nothing to do, and what it sends."""

    def __init__(self, where: Place, **settings: object) -> None:
        self.jobs = Longshore(**where.settings, **settings)
        self.ran: list[float] = []

        @self.jobs.job(kind="note")
        def note() -> None:
            self.ran.append(time.monotonic())

        self.note = note
        self.claims: list[str] = []
        self.last = 0.0
        store = self.jobs.client.store
        run = store.run

        def noted(op: Any) -> Any:
            if op.name in {"claim", "exchange", "finish"}:
                self.claims += [op.name] * (op.name != "finish")
                self.last = time.monotonic()
            return run(op)

        vars(store)["run"] = noted

    def rests(self) -> None:
        """It has left a claim with the server and asks nothing more."""
        ran = max(self.ran, default=0.0)
        eventually(lambda: ran < self.last < time.monotonic() - 0.2)


def test_a_job_comes_without_being_asked_for(where: Place) -> None:
    app = Idle(where, poll_interval="30s")
    with app.jobs.worker(threads=2).running():
        app.rests()
        for number in range(1, 6):
            asked = len(app.claims)
            app.note.enqueue()
            eventually(lambda n=number: len(app.ran) == n)
            app.rests()
            assert len(app.claims) == asked
    app.jobs.close()


def test_a_due_job_is_looked_for_though_a_claim_stands(where: Place) -> None:
    app = Idle(where, poll_interval="30s")
    with app.jobs.worker(threads=2).running():
        app.rests()
        due = time.monotonic() + 1
        app.note.using(delay=1).enqueue()
        eventually(lambda: app.ran)
        assert due - 0.1 < app.ran[0] < due + PLENTY / 2
    app.jobs.close()


def test_where_nobody_tells_of_a_job_it_is_found_by_looking(where: Place, client: Any) -> None:
    """As a job that somebody brings back without a word."""
    app = Idle(where, poll_interval="1s")
    with app.jobs.worker(threads=2).running():
        app.rests()
        client.delete(f"{{{where.prefix}}}ears")
        app.note.enqueue()
        eventually(lambda: app.ran)
    app.jobs.close()


def test_what_a_claim_took_whose_answer_never_comes_runs_at_the_next_look(where: Place) -> None:
    address = parse_url(where.url)
    with FaultProxy(address.host or "127.0.0.1", address.port or 6379) as line:
        url = msgspec.structs.replace(address, host="127.0.0.1", port=line.port).reveal()
        app = Idle(where._replace(url=url), poll_interval="1s")
        direct = Idle(where)
        with app.jobs.worker(threads=2).running():
            app.rests()
            line.blackhole(b"BLPOP")
            assert line.doomed == 1
            enqueued = time.monotonic()
            direct.note.enqueue()
            eventually(lambda: app.ran)
            assert app.ran[0] - enqueued < 1 + PLENTY / 10
        direct.jobs.close()
        app.jobs.close()


def test_a_worker_that_ends_leaves_no_claim_behind(where: Place) -> None:
    app = Idle(where)
    with app.jobs.worker(threads=2).running():
        app.rests()
    handle = app.note.enqueue()
    time.sleep(0.3)
    assert handle.refresh().state is JobState.AVAILABLE
    app.jobs.worker().run(until_empty=True)
    assert handle.refresh().state is JobState.SUCCEEDED
    app.jobs.close()


def test_what_may_run_once_only_is_asked_for(where: Place) -> None:
    """A process that is frozen while its claim stands would be given what then is dead."""
    app = Idle(where, poll_interval="30s")

    @app.jobs.job(kind="once", at_most_once=True)
    def once() -> None:
        """Not run here."""

    with app.jobs.worker(threads=2).running():
        app.rests()
        asked = len(app.claims)
        app.note.enqueue()
        eventually(lambda: app.ran)
        assert len(app.claims) > asked
    app.jobs.close()


FROZEN = """
import sys, time
from longshore import Longshore

jobs = Longshore(sys.argv[1], prefix=sys.argv[2], lease="3s")

@jobs.job(kind="note")
def note():
    print("ran", flush=True)

with jobs.worker(threads=2).running():
    print("works", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_job_that_others_have_run_is_not_run_by_who_thaws(where: Place) -> None:
    """The answer to its claim lies in its socket while it is frozen, for longer than its lease."""
    app = Idle(where, lease="3s")
    command = [sys.executable, "-c", FROZEN, where.url, where.prefix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as frozen:
        assert frozen.stdout is not None
        try:
            assert frozen.stdout.readline() == "works\n"
            app.note.enqueue()
            assert frozen.stdout.readline() == "ran\n"
            time.sleep(0.5)
            frozen.send_signal(signal.SIGSTOP)
            # One thread of it carries the order out, when it gets to it; until then others go on.
            eventually(lambda: are_stopped(frozen.pid))
            handle = app.note.enqueue()
            eventually(lambda: handle.refresh().state is JobState.RUNNING)
            with app.jobs.worker(threads=2).running():
                eventually(lambda: app.ran)
            frozen.send_signal(signal.SIGCONT)
            time.sleep(1.5)
        finally:
            frozen.kill()
        assert frozen.stdout.read() == ""
    assert handle.refresh().state is JobState.SUCCEEDED
    app.jobs.close()


SERVED = """
import os
from longshore import Longshore

jobs = Longshore(lease="6s")

@jobs.job(kind="note")
def note():
    pass
"""


@pytest.mark.slow
def test_a_process_that_is_not_renewed_takes_no_more_jobs(where: Place, tmp_path: Path) -> None:
    """Its supervisor is stopped, as by who debugs it; the child lives, and its claim stood."""
    (tmp_path / "served.py").write_text(SERVED)
    log = tmp_path / "log"
    app = Idle(where, lease="6s")
    command = [sys.executable, "-m", "longshore", "worker", "-A", "served", "--processes", "1"]
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, **where.environment, "PYTHONPATH": paths}
    with log.open("w") as said:
        worker = subprocess.Popen(command, stderr=said, env=environment, cwd=tmp_path)
    supervisor, children = psutil.Process(worker.pid), list[psutil.Process]()
    try:
        app.note.enqueue().result(timeout=30)
        children += supervisor.children(recursive=True)
        worker.send_signal(signal.SIGSTOP)
        eventually(lambda: "nothing is claimed or written until it is" in log.read_text())
        time.sleep(0.1)
        handle = app.note.enqueue()
        time.sleep(0.3)
        assert handle.refresh().state is JobState.AVAILABLE
        with app.jobs.worker(threads=2).running():
            handle.wait(timeout=PLENTY)
        (record,) = app.jobs.client.store.run(app.jobs.client.store.get([handle.id])).values()
        assert (record.state, record.interruptions) == (JobState.SUCCEEDED, 0)
    finally:
        for process in (*children, supervisor):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        worker.wait(PLENTY)
    app.jobs.close()


def test_jobs_are_not_lost_while_workers_come_and_go(where: Place) -> None:
    """Each ends while jobs arrive: a claim may be carried out in that very moment."""
    app = Idle(where)
    over = threading.Event()
    handles: list[Any] = []

    def enqueue() -> None:
        while not over.wait(0.003):
            handles.append(app.note.enqueue())

    thread = threading.Thread(target=enqueue)
    thread.start()
    try:
        for _ in range(12):
            with app.jobs.worker(threads=2).running():
                time.sleep(0.1)
    finally:
        over.set()
        thread.join()
    app.jobs.worker().run(until_empty=True)
    states = {handle.refresh().state for handle in handles}
    assert states == {JobState.SUCCEEDED}
    assert len(app.ran) == len(handles)
    records = app.jobs.client.store.run(app.jobs.client.store.get([one.id for one in handles]))
    assert not any(record.interruptions for record in records.values())
    app.jobs.close()


@pytest.mark.slow
def test_a_quiet_worker_takes_no_job(where: Place, tmp_path: Path) -> None:
    harbour = Harbour(tmp_path, **where.environment)
    try:
        harbour.worker(processes=1)
        harbour.await_ready(1)
        first = harbour.app.nap.enqueue(0)
        assert first.result(timeout=PLENTY) == "rested"
        time.sleep(0.3)
        os.kill(harbour.workers[0].pid, signal.SIGTSTP)
        time.sleep(0.5)
        second = harbour.app.nap.enqueue(0)
        time.sleep(0.5)
        assert second.refresh().state is JobState.AVAILABLE
    finally:
        harbour.stop()
