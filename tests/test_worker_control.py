"""Talking to a running worker: its socket, its signals, reload, and what it says at the start."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore import JobState, Longshore
from longshore.worker import control, door
from tests.harbour_tools import APPS, Harbour, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def harbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harbour]:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    made = Harbour(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def ready(name: str) -> bool:
    report = door.ask(name, "health")
    return report is not None and report.ready


def stages(name: str) -> list[str]:
    report = door.ask(name, "health")
    return [] if report is None else [child.stage for child in report.children]


def health(harbour: Harbour, *options: str) -> int:
    command = [sys.executable, "-m", "longshore", "health", *options]
    return subprocess.run(
        command, env=harbour.env, capture_output=True, check=False, timeout=30
    ).returncode


def test_a_worker_answers_at_its_door(harbour: Harbour) -> None:
    assert health(harbour, "--live") == 8, "nobody there yet"
    worker = harbour.worker("--name", "mail", processes=2)
    eventually(lambda: ready("mail"), 30)
    report = door.ask("mail", "health")
    assert report is not None
    assert report.pid == worker.pid
    eventually(lambda: stages("mail") == ["working"] * 2)
    path = harbour.folder / "runtime" / "longshore" / "mail.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert health(harbour, "--live") == 0
    assert health(harbour, "--ready", "--worker", "mail") == 0
    assert health(harbour, "--worker", "other", "--live") == 8
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=15)
    assert not path.exists()


def test_rude_visitors_do_not_stop_a_worker(harbour: Harbour) -> None:
    harbour.worker("--name", "mail")
    eventually(lambda: ready("mail"), 30)
    path = str(harbour.folder / "runtime" / "longshore" / "mail.sock")
    for said in (b"", b"\0" * 100, b'{"what": 3}', b'{"what": "fly"}', b"x" * 100_000):
        with socket.socket(socket.AF_UNIX) as visitor:
            visitor.connect(path)
            try:
                visitor.sendall(said)
                visitor.shutdown(socket.SHUT_WR)
            except OSError:
                continue
    assert ready("mail")
    assert harbour.app.nap.enqueue(0.01).result(timeout=20) == "rested"


def test_two_workers_never_share_a_name(harbour: Harbour) -> None:
    harbour.worker("--name", "mail")
    eventually(lambda: ready("mail"), 30)
    harbour.worker("--name", "mail")
    eventually(lambda: ready("mail-2"), 30)
    assert door.names() == ["mail", "mail-2"]
    assert "the name 'mail' is taken" in harbour.logs()
    store = harbour.jobs.store
    names = [process.name for process in store.run(store.processes())]
    assert len(set(names)) == 2


def test_a_socket_left_behind_by_a_killed_worker_is_taken_over(harbour: Harbour) -> None:
    first = harbour.worker("--name", "mail")
    eventually(lambda: ready("mail"), 30)
    first.kill()
    first.wait()
    harbour.worker("--name", "mail")
    eventually(lambda: ready("mail"), 30)
    assert door.names() == ["mail"]


@pytest.mark.parametrize("way", ["door", "signal"])
def test_a_quiet_worker_claims_nothing(harbour: Harbour, way: str) -> None:
    worker = harbour.worker("--name", "mail")
    eventually(lambda: ready("mail"), 30)

    def say(what: str) -> None:
        if way == "door":
            assert door.ask("mail", what) is not None
        else:
            worker.send_signal(signal.SIGTSTP if what == "quiet" else signal.SIGCONT)

    say("quiet")
    eventually(lambda: (report := door.ask("mail", "health")) and report.state == "quiet")
    assert health(harbour, "--ready") == 1
    assert health(harbour, "--live") == 0
    handle = harbour.app.nap.enqueue(0.01)
    deadline = time.monotonic() + 1.5
    eventually(lambda: time.monotonic() > deadline)
    assert handle.refresh().state is JobState.AVAILABLE
    say("resume")
    assert handle.result(timeout=20) == "rested"


def test_hup_drains_and_starts_afresh(harbour: Harbour) -> None:
    worker = harbour.worker("--name", "mail")
    eventually(lambda: ready("mail"), 30)
    before = harbour.app.where.enqueue().result(timeout=20)
    worker.send_signal(signal.SIGHUP)
    eventually(
        lambda: (
            (report := door.ask("mail", "health")) is not None
            and report.ready
            and before not in [child.pid for child in report.children]
        ),
        30,
    )
    assert worker.poll() is None, "the same process goes on"
    assert harbour.app.where.enqueue().result(timeout=20) != before


def test_usr1_dumps_every_stack(harbour: Harbour) -> None:
    worker = harbour.worker("--name", "mail")
    eventually(lambda: ready("mail"), 30)
    worker.send_signal(signal.SIGUSR1)
    eventually(lambda: "most recent call first" in harbour.logs(), 20)
    assert harbour.app.nap.enqueue(0.01).result(timeout=20) == "rested"


def test_the_banner_says_what_will_run(harbour: Harbour) -> None:
    harbour.worker("--name", "mail", "-Q", "mail,*", processes=2, threads=3)
    eventually(lambda: ready("mail"), 30)
    log = harbour.logs()
    for part in ("harbour:jobs", "harbour.db", "mail, *", "6 (2 processes x 3 threads)", "count"):
        assert part in log, log


def test_reload_takes_new_code_and_survives_a_syntax_error(harbour: Harbour) -> None:
    folder = harbour.folder / "project"
    folder.mkdir()
    source = folder / "app.py"
    text = (
        "from longshore import Longshore\n"
        "jobs = Longshore()\n"
        '@jobs.job(kind="version")\n'
        "def version() -> int:\n"
        "    return 1\n"
    )
    source.write_text(text)
    shutil.copy(APPS / "harbour.py", folder / "harbour.py")
    log = (harbour.folder / "worker-reload.log").open("w")
    with log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "longshore", "-A", "app:jobs", "worker", "--reload"],
            cwd=folder,
            env={**harbour.env, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    harbour.workers.append(worker)

    def answer() -> object:
        return harbour.jobs.push({"kind": "version"}).result(timeout=30)

    assert answer() == 1
    source.write_text("def broken(:\n")
    eventually(lambda: "SyntaxError" in harbour.logs(), 20)
    assert answer() == 1, "the old code goes on"
    source.write_text(text.replace("return 1", "return 2"))
    os.utime(source, (time.time() + 5, time.time() + 5))
    eventually(lambda: answer() == 2, 30)


@pytest.mark.parametrize(
    ("app", "code", "says"),
    [
        ("nosuch.module", 3, "nosuch"),
        ("broken:jobs", 3, "ZeroDivisionError"),
        ("harbour:nothing", 3, "nothing"),
        ("inmemory:jobs", 6, "LONGSHORE-E603"),
    ],
)
def test_a_worker_that_cannot_start_says_why(
    harbour: Harbour, app: str, code: int, says: str
) -> None:
    folder = harbour.folder / "project"
    folder.mkdir()
    shutil.copy(APPS / "harbour.py", folder / "harbour.py")
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "inmemory.py").write_text(
        'from longshore import Longshore\njobs = Longshore("memory://")\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "longshore", "-A", app, "worker", "--processes", "2"],
        cwd=folder,
        env=harbour.env,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert says in done.stderr


def test_a_closed_stderr_fails_no_job(harbour: Harbour) -> None:
    with Path("/dev/full").open("w") as full:
        worker = subprocess.Popen(
            [sys.executable, "-m", "longshore", "-vv", "-A", "harbour:jobs", "worker"],
            cwd=APPS,
            env=harbour.env,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=full,
            text=True,
            start_new_session=True,
        )
    harbour.workers.append(worker)
    handles = [harbour.app.nap.enqueue(0.01) for _ in range(20)]
    assert {handle.result(timeout=30) for handle in handles} == {"rested"}
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=15) == 0


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        ("text", 4, "LONGSHORE-E4"),
        ("folder", 4, "LONGSHORE-E4"),
        ("newer", 5, "newer"),
        ("foreign", 5, "longshore_job"),
    ],
)
def test_a_worker_gives_up_on_a_store_that_will_not_do(
    harbour: Harbour, spoil: str, code: int, says: str
) -> None:
    path = harbour.folder / "spoilt.db"
    match spoil:
        case "text":
            path.write_text("this is no database, and long enough to be read as one\n" * 40)
        case "folder":
            path.mkdir()
        case "newer":
            Longshore(f"sqlite:///{path}").migrate()
            with sqlite3.connect(path) as connection:
                connection.execute("insert into longshore_migration values ('999_later', 0, 0)")
            connection.close()
        case _:
            with sqlite3.connect(path) as connection:
                connection.execute("create table longshore_job (id text)")
            connection.close()
    done = subprocess.run(
        [sys.executable, "-m", "longshore", "-A", "harbour:jobs", "worker", "--until-empty"],
        cwd=APPS,
        env={**harbour.env, "LONGSHORE_STORE": f"sqlite:///{path}"},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert done.stderr.startswith("longshore: ")


def test_a_message_of_another_release_is_told_apart() -> None:
    ours, theirs = socket.socketpair()
    parent, child = control.parent_channel(ours), control.child_channel(theirs)
    theirs.sendall(b'{"type":"news","what":1}\n{"type":"resting","on":true}\n')
    assert [type(one) for one in parent.receive() or ()] == [control.Unreadable, control.Resting]
    ours.sendall(b'{"type":"go"}\n')
    assert [type(one) for one in child.receive() or ()] == [control.Unreadable]
    parent.close()
    child.close()
