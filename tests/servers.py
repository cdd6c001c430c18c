"""Servers for the tests: private ones, started when a test first asks, ended with the run.

One server of a kind serves a whole run and all its xdist processes. A keeper process owns them
(`tests/keeper.py`): it ends them when the run ends, in whichever way. `TEST_POSTGRES_URL`,
`TEST_MYSQL_URL`, `TEST_REDIS_URL` and `TEST_VALKEY_URL` name servers to use instead; what the tests
make there has names of its own and is removed.

    url = shared("postgres18").url              # every test may use it, none may stop it
    with private("redis", durable=True) as server:
        server.kill()                           # as a crash would
        server.start()                          # the same files, the same address
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Where the run's keeper listens. Set for the processes of the run, and by whoever runs many runs.
VARIABLE = "TEST_SERVERS_KEEPER"
#: To prepare and start the slowest server on a busy machine, seconds.
PATIENCE = 120


class ServerError(Exception):
    """A server that a test needs is not there; the text says what to install or to set."""


class Server:
    """A server as tests see it. ``ours`` is false where a ``TEST_…_URL`` names it."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.url: str = about["url"]
        self.ours: bool = about["ours"]
        self.pid: int = about.get("pid", 0)
        self._number: int = about.get("number", 0)

    def kill(self) -> None:
        """End it as a crash would: PostgreSQL by an immediate stop, the others by SIGKILL."""
        ask(do="kill", number=self._number)

    def start(self) -> None:
        """Start it again with the same files on the same port; returns when it answers."""
        self.pid = ask(do="start", number=self._number)["pid"]

    def remove(self) -> None:
        """End it and remove its files."""
        ask(do="remove", number=self._number)


@functools.cache
def shared(kind: str) -> Server:
    """The run's server of a kind.

    Raises:
        ServerError: its program is missing, or it did not start.
    """
    return Server(ask(do="shared", kind=kind))


@contextmanager
def private(kind: str, *given: str, durable: bool = False) -> Iterator[Server]:
    """A server for one test, which may do with it what it likes.

    ``given`` are settings as its program takes them; ``durable``: what it has acknowledged
    outlives a crash.
    """
    server = Server(ask(do="private", kind=kind, given=given, durable=durable))
    try:
        yield server
    finally:
        server.remove()


def delays(since: float = 0.0) -> list[float]:
    """For how long the machine stood still each time since a moment of the monotonic clock."""
    found: list[float] = ask(do="delays", since=since)["delays"]
    return found


def ask(**request: object) -> dict[str, Any]:
    """Ask the keeper of this run."""
    address = os.environ.get(VARIABLE)
    if address is None:
        raise ServerError(f"no keeper of servers runs: {VARIABLE} is not set")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(address)
        with connection.makefile("rw", encoding="utf-8") as file:
            file.write(json.dumps(request) + "\n")
            file.flush()
            line = file.readline()
    answer: dict[str, Any] = json.loads(line) if line else {"error": "the keeper of servers ended"}
    if "error" in answer:
        raise ServerError(answer["error"])
    return answer


class Keeping:
    """A keeper process, from :meth:`begin` to :meth:`end`; it also ends when this process does."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The keeper's process."""
        assert self._process is not None
        return self._process.pid

    def begin(self) -> None:
        """Start the keeper; a fraction of a second, and none of ours."""
        self._folder = Path(tempfile.mkdtemp(prefix="longshore-servers-"))
        self._folder.chmod(0o711)  # servers that refuse to run as root must reach their files
        address = str(self._folder / "keeper")
        paths = (str(ROOT / "src"), os.environ.get("PYTHONPATH"))
        reading, self._alive = os.pipe()
        # Bound here, so that whoever asks before the keeper is up only waits.
        with socket.socket(socket.AF_UNIX) as listen:
            listen.bind(address)
            listen.listen(64)
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.keeper"),
                    *(str(listen.fileno()), str(reading), str(self._folder)),
                ],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(listen.fileno(), reading),
                start_new_session=True,
            )
        os.close(reading)
        os.environ[VARIABLE] = address

    def end(self) -> None:
        """End the servers and their keeper."""
        if self._process is None:
            return
        os.environ.pop(VARIABLE, None)
        os.close(self._alive)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._process = None


@contextmanager
def keeping() -> Iterator[None]:
    """Servers for a program that starts test runs of its own, kept over all of them."""
    keeping = Keeping()
    keeping.begin()
    try:
        yield
    finally:
        keeping.end()
