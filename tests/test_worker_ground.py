"""What a worker stands on: its store and outbox, as the application names them now."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from longshore import Longshore
from tests.harbour_tools import command, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

APP = """
from pathlib import Path
from longshore import Longshore

jobs = Longshore(Path(__file__).with_name("store.txt").read_text(), {more})

@jobs.job(kind="double")
def double(n: int) -> int:
    return 2 * n
"""


def double(n: int) -> int:
    return 2 * n


@contextmanager
def worker(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    log = (folder / "log").open("w")
    begun = subprocess.Popen(
        [sys.executable, "-m", "longshore", "-A", "shop:jobs", "worker", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "src")},
        stdout=subprocess.DEVNULL,
        stderr=log,
        text=True,
    )
    try:
        yield begun
    finally:
        log.close()
        begun.send_signal(signal.SIGTERM)
        begun.wait(30)


def test_a_child_that_names_another_store_moves_the_whole_worker(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP.format(more=""))
    (tmp_path / "store.txt").write_text(f"sqlite:///{tmp_path}/one.db")
    one = Longshore(f"sqlite:///{tmp_path}/one.db")
    two = Longshore(f"sqlite:///{tmp_path}/two.db")
    first, second = (app.job(kind="double")(double) for app in (one, two))
    with closing(one), closing(two), worker(tmp_path) as running:
        assert first.enqueue(1).result(timeout=40) == 2
        (tmp_path / "store.txt").write_text(f"sqlite:///{tmp_path}/two.db")
        children = [
            child
            for child in psutil.Process(running.pid).children()
            if "longshore.programs.child" in command(child)
        ]
        os.kill(children[0].pid, signal.SIGKILL)
        assert second.enqueue(2).result(timeout=40) == 4
        assert running.poll() is None
        eventually(lambda: "two.db): starting again" in (tmp_path / "log").read_text())
        assert len(two.store.run(two.store.processes())) == 1


def test_code_that_does_not_load_stops_no_worker(tmp_path: Path) -> None:
    code = tmp_path / "shop.py"
    code.write_text(APP.format(more=""))
    (tmp_path / "store.txt").write_text(f"sqlite:///{tmp_path}/jobs.db")
    app = Longshore(f"sqlite:///{tmp_path}/jobs.db")
    job, log = app.job(kind="double")(double), tmp_path / "log"
    with closing(app), worker(tmp_path) as running:
        assert job.enqueue(1).result(timeout=40) == 2
        (before,) = {process.pid for process in app.store.run(app.store.processes())}
        code.write_text("def double(:\n")
        running.send_signal(signal.SIGHUP)
        eventually(lambda: "the code does not load" in log.read_text(), 40, "the refusal")
        assert "SyntaxError" in log.read_text()
        assert job.enqueue(2).result(timeout=40) == 4
        assert {process.pid for process in app.store.run(app.store.processes())} == {before}
        # Of another length: of an equal one within the same second Python keeps the bytecode.
        code.write_text(APP.format(more="").replace("2 * n", "2 * n + n"))
        running.send_signal(signal.SIGHUP)
        eventually(lambda: before not in children_of(running.pid), 40, "the end of the old one")
        assert job.enqueue(2).result(timeout=40) == 6
        assert running.poll() is None


def children_of(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children()}


def test_a_worker_until_empty_relays_what_waits(tmp_path: Path) -> None:
    (tmp_path / "store.txt").write_text(f"sqlite:///{tmp_path}/jobs.db")
    outbox = f"sqlite:///{tmp_path}/shop.db"
    (tmp_path / "shop.py").write_text(APP.format(more=f'outbox="{outbox}"'))
    app = Longshore(f"sqlite:///{tmp_path}/jobs.db", outbox=outbox)
    job = app.job(kind="double")(double)
    app.migrate()
    with closing(app):
        with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
            handles = [job.using(connection=connection).enqueue(n) for n in range(3)]
            connection.commit()
        with worker(tmp_path, "--until-empty") as running:
            assert running.wait(60) == 0
        assert [handle.result(timeout=1) for handle in handles] == [0, 2, 4]


def test_a_worker_as_root_says_so(tmp_path: Path) -> None:
    """Row B50; how the tests themselves are run decides which of both is seen."""
    (tmp_path / "store.txt").write_text(f"sqlite:///{tmp_path}/jobs.db")
    (tmp_path / "shop.py").write_text(APP.format(more=""))
    with worker(tmp_path, "--until-empty") as running:
        assert running.wait(60) == 0
    said = "  warning this worker runs as root, and so does every job." in (
        (tmp_path / "log").read_text()
    )
    assert said is (os.geteuid() == 0)
