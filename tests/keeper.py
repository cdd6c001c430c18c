"""The process that keeps the servers of one test run and ends them with it.

    python -m tests.keeper LISTEN ALIVE FOLDER

It answers requests of the tests, one line of JSON each, on the socket LISTEN, and knows when the
machine stood still. It ends when the pipe ALIVE closes, which happens whichever way the run ends:
normally, by Ctrl-C or by SIGKILL. Then it ends every server that it started, by process, and
removes FOLDER. It has a session of its own, so that Ctrl-C reaches the tests first.
"""

from __future__ import annotations

import itertools
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.pulse import Pulse
from tests.server_programs import END, PROGRAMS, MissingProgram, NoStart, Program


class Keeper:
    """Servers by number; those that all tests share also by kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pulse = Pulse(folder)
        self._numbers = itertools.count(1)
        self._servers: dict[int, Program] = {}
        self._shared: dict[str, dict[str, Any]] = {}
        self._one_at_a_time: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._children: list[subprocess.Popen[bytes]] = []
        self._ending = False
        self._lock = threading.Lock()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a test asks for."""
        try:
            return self._do(request)
        except (MissingProgram, NoStart) as error:
            return {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - the test that asked says it
            return {"error": f"the keeper failed: {error!r}"}

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        match request:
            case {"do": "shared", "kind": kind}:
                return self._share(kind)
            case {"do": "private", "kind": kind, "durable": durable, "given": given}:
                return self._new(kind, durable=durable, given=given)
            case {"do": "kill", "number": number}:
                self._servers[number].kill()
            case {"do": "start", "number": number}:
                self._servers[number].start()
                return self._about(number)
            case {"do": "remove", "number": number}:
                program = self._servers.pop(number)
                program.kill()
                shutil.rmtree(program.folder, ignore_errors=True)
            case {"do": "delays", "since": since}:
                return {"delays": self.pulse.delays(since)}
            case _:
                return {"error": f"the keeper does not know {request}"}
        return {}

    def end(self) -> None:
        """End everything that was started, and leave nothing behind."""
        self.pulse.stop()
        with self._lock:
            self._ending = True
        for program in list(self._servers.values()):
            if program.process is not None and program.process.poll() is None:
                program.process.send_signal(program.crash)
        for child in self._children:
            try:
                child.wait(END)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _share(self, kind: str) -> dict[str, Any]:
        with self._lock:
            lock = self._one_at_a_time[kind]
        with lock:
            if kind not in self._shared:
                self._shared[kind] = self._shareable(kind)
            return self._shared[kind]

    def _shareable(self, kind: str) -> dict[str, Any]:
        if url := os.environ.get(PROGRAMS[kind].variable):
            return {"url": url, "ours": False}
        given = []
        if kind == "pgbouncer":
            behind = self._share("postgres16")
            if "error" in behind:
                return behind
            given = [behind["url"]]
        try:
            return self._new(kind, durable=False, given=given)
        except (MissingProgram, NoStart) as error:
            # Kept as the answer: the next test need not wait for the same again.
            return {"error": str(error)}

    def _new(self, kind: str, *, durable: bool, given: Sequence[str]) -> dict[str, Any]:
        number = next(self._numbers)
        folder = self.folder / f"{number}-{kind}"
        folder.mkdir()
        program = PROGRAMS[kind](folder, self._spawn, durable=durable, given=given)
        self._servers[number] = program
        program.begin()
        return self._about(number)

    def _about(self, number: int) -> dict[str, Any]:
        program = self._servers[number]
        assert program.process is not None
        pid = program.process.pid
        return {"number": number, "url": program.url, "pid": pid, "ours": True}

    def _spawn(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._ending:
                raise NoStart("the run is over")
            self._children = [child for child in self._children if child.poll() is None]
            child = subprocess.Popen(list(map(str, command)), start_new_session=True, **options)
            self._children.append(child)
        return child


def serve(listen: socket.socket, alive: int, folder: Path) -> None:
    keeper = Keeper(folder)
    keeper.pulse.start()
    told, tell = socket.socketpair()

    def over(*_: object) -> None:
        tell.send(b"!")

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, over)
    with selectors.DefaultSelector() as selector:
        selector.register(listen, selectors.EVENT_READ)
        selector.register(alive, selectors.EVENT_READ)
        selector.register(told, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if ready - {listen}:
                break
            connection, _ = listen.accept()
            threading.Thread(target=talk, args=(keeper, connection), daemon=True).start()
    listen.close()
    keeper.end()


def talk(keeper: Keeper, connection: socket.socket) -> None:
    with connection, connection.makefile("rw", encoding="utf-8") as file:
        try:
            answer = keeper.answer(json.loads(file.readline()))
            file.write(json.dumps(answer) + "\n")
            file.flush()
        except (OSError, ValueError):
            return  # who asked is gone


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), Path(sys.argv[3]))
