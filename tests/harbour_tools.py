"""Starts, watches and always stops real workers for the tests."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import psutil

APPS = Path(__file__).parent / "apps"


def eventually(ask: Callable[[], object], seconds: float = 20, what: str = "it") -> None:
    """Wait until something is so; the pause only bounds how often we ask."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not ask():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        pause.wait(0.01)


def are_stopped(pid: int) -> bool:
    """Whether each thread of a process stands still."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return all("State:\tT" in (thread / "status").read_text() for thread in threads)


def command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ended meanwhile
        return ""


class Harbour:
    """One store, one ledger, the application's module, and the workers on it.

    ``settings`` are further variables of the environment, such as another store than SQLite;
    ``name`` is the module of :data:`APPS` that is the application.
    """

    def __init__(
        self, folder: Path, lease: float = 15, *, name: str = "harbour", **settings: str
    ) -> None:
        self.name = name
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self.env = {
            **os.environ,
            "LONGSHORE_STORE": f"sqlite:///{folder}/harbour.db",
            "HARBOUR_LEDGER": str(self.ledger),
            "HARBOUR_LEASE": str(lease),
            **settings,
        }
        self.folder = folder
        self.app = self._load()
        self.jobs = self.app.jobs
        self.workers: list[subprocess.Popen[str]] = []

    def _load(self) -> ModuleType:
        before = dict(os.environ)
        os.environ.update(self.env)
        try:
            spec = importlib.util.spec_from_file_location(self.name, APPS / f"{self.name}.py")
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        finally:
            os.environ.clear()
            os.environ.update(before)
        return module

    def worker(self, *options: str, processes: int = 1, threads: int = 4) -> subprocess.Popen[str]:
        """A running ``longshore worker``; its stderr is kept in the folder."""
        log = (self.folder / f"worker-{len(self.workers)}.log").open("w")
        with log:
            worker = subprocess.Popen(
                [
                    *(sys.executable, "-m", "longshore", "-A", f"{self.name}:jobs", "worker"),
                    *("--processes", str(processes), "--threads", str(threads), *options),
                ],
                cwd=APPS,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def children(self, worker: subprocess.Popen[str]) -> list[psutil.Process]:
        """The working children, without those that only boot (they have no threads yet)."""
        return [
            child
            for child in psutil.Process(worker.pid).children()
            if "longshore.programs.child" in command(child)
        ]

    def family(self, worker: subprocess.Popen[str]) -> list[int]:
        """The process ids of a worker and its children, the supervisor first."""
        return [worker.pid, *(child.pid for child in self.children(worker))]

    def worker_of(self, pid: int) -> subprocess.Popen[str]:
        """The worker whose child this is."""
        alive = [worker for worker in self.workers if worker.poll() is None]
        return next(worker for worker in alive if pid in self.family(worker))

    def await_ready(self, count: int = 1) -> None:
        """Until so many processes have joined."""
        store = self.jobs.store
        eventually(
            lambda: len(store.run(store.processes())) >= count, 30, f"{count} processes joining"
        )

    def lines(self) -> list[list[str]]:
        # The last one may be under way.
        return [line.split() for line in self.ledger.read_text().split("\n")[:-1]]

    def starts(self, job_id: str) -> list[list[str]]:
        """What the ledger says of the starts of one job: when, its process, and what it noted."""
        return [line for line in self.lines() if line[2:4] == ["start", job_id]]

    def logs(self) -> str:
        return "\n".join(file.read_text() for file in sorted(self.folder.glob("worker-*.log")))

    def stop(self) -> None:
        for worker in self.workers:
            self.lose(worker)
        self.jobs.close()

    def lose(self, worker: subprocess.Popen[str]) -> None:
        """Kill a worker with all its children, as the loss of its machine would."""
        if worker.poll() is None:
            for process in [worker, *psutil.Process(worker.pid).children(recursive=True)]:
                try:
                    os.kill(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        worker.wait(timeout=10)
