"""Starts, watches, kills and always ends the workers of a trial; each death goes to the ledger."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.harbour_tools import APPS, command, eventually
from tests.ledger_tools import Ledger, Word

ROOT = Path(__file__).resolve().parent.parent
LOOK = 0.05  # how often new children are looked for, seconds; the end of a known one wakes


class Worker:
    """One `longshore worker` with its children."""

    def __init__(self, process: subprocess.Popen[str], log: Path, ledger: Ledger) -> None:
        self.process = process
        self.log = log
        self._ledger = ledger

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        """What it wrote to its standard error so far."""
        return self.log.read_text("utf-8", "replace")

    def children(self) -> list[int]:
        """Its children that work, without those of isolated jobs."""
        try:
            found = psutil.Process(self.pid).children()
        except psutil.NoSuchProcess:
            return []
        return [one.pid for one in found if "longshore.programs.child" in command(one)]

    def family(self) -> list[int]:
        """Itself and everything below it; asked many times a second."""
        return [self.pid, *_below(self.pid)] if Path(f"/proc/{self.pid}").exists() else []

    def await_children(self, count: int = 1) -> list[int]:
        """Until so many children are there."""
        eventually(lambda: len(self.children()) >= count, 60, f"{count} children")
        return self.children()

    def kill(self, pid: int | None = None) -> None:
        """SIGKILL one of its processes, itself by default."""
        self.send(signal.SIGKILL, pid)

    def lose(self) -> None:
        """SIGKILL all of it at once, as the loss of its machine would."""
        for pid in self.family():
            self.send(signal.SIGKILL, pid)
        self.process.wait(10)

    def stop(self, pid: int | None = None) -> None:
        self.send(signal.SIGSTOP, pid)

    def resume(self, pid: int | None = None) -> None:
        self.send(signal.SIGCONT, pid)

    def freeze(self) -> list[int]:
        """SIGSTOP all of it; returns whom, for :meth:`thaw`."""
        family = self.family()
        for pid in family:
            self.stop(pid)
        return family

    def thaw(self, family: Sequence[int]) -> None:
        for pid in family:
            self.resume(pid)

    def send(self, number: signal.Signals, pid: int | None = None) -> None:
        """Send a signal; those that end, stop or resume a process go to the ledger just before."""
        pid = pid or self.pid
        if number in _TOLD:
            self._ledger.write(_TOLD[number], pid=pid)
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            self._ledger.write(Word.NOTE, pid=pid, note="was gone already")

    def end(self, timeout: float = 40) -> int:
        """Ask it to stop and wait; its exit code."""
        if self.alive:
            self.send(signal.SIGTERM)
        return self.process.wait(timeout)


_TOLD = {
    signal.SIGKILL: Word.KILLED,
    signal.SIGSTOP: Word.STOPPED,
    signal.SIGCONT: Word.RESUMED,
}


class Workers:
    """All workers of a trial."""

    def __init__(self, folder: Path, ledger: Ledger, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._ledger = ledger
        # The sources of this tree, wherever the installed ones are.
        self.environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **environment}
        self.all: list[Worker] = []
        self._watched: set[int] = set()
        #: Those that were seen to end: until somebody waits for them they are still there.
        self._ended: set[int] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="faults-watch", daemon=True)
        self._thread.start()

    def start(
        self,
        *options: str,
        processes: int = 2,
        threads: int = 4,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        output: Path | None = None,
    ) -> Worker:
        """A new worker.

        ``prefix`` is a command that runs it, such as ``prlimit``; ``output`` where it writes to
        instead of a file of its own.
        """
        log = self._folder / f"worker-{len(self.all)}.log"
        log.touch()
        with (output or log).open("w") as file:
            process = subprocess.Popen(
                [
                    *prefix,
                    *(sys.executable, "-m", "longshore", "-A", "ledgered:jobs", "worker"),
                    *("--processes", str(processes), "--threads", str(threads), *options),
                ],
                cwd=APPS,
                env={**self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                text=True,
                start_new_session=True,
            )
        worker = Worker(process, log, self._ledger)
        self.all.append(worker)
        return worker

    def said(self) -> str:
        return "\n".join(worker.said() for worker in self.all)

    def close(self) -> None:
        """End everything at once, stopped processes and orphans of killed supervisors too."""
        for worker in self.all:
            for pid in worker.family():
                _end(pid)
            worker.process.wait(10)
        self._end.set()
        self._thread.join(5)
        for pid in self._watched:
            _end(pid)

    def _watch(self) -> None:
        """Note every process of theirs that ends, as soon as it does."""
        with selectors.DefaultSelector() as selector:
            while not self._end.is_set():
                for worker in list(self.all):
                    for pid in set(worker.family()) - self._watched - self._ended:
                        self._watched.add(pid)
                        try:
                            selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
                        except ProcessLookupError:
                            self._die(pid)
                for key, _ in selector.select(LOOK):
                    self._die(key.data)
                    selector.unregister(key.fileobj)
                    os.close(key.fd)
            for key in list(selector.get_map().values()):
                os.close(key.fd)

    def _die(self, pid: int) -> None:
        self._ledger.write(Word.DIED, pid=pid)
        self._watched.discard(pid)
        self._ended.add(pid)


def _below(pid: int) -> list[int]:
    """Its children, theirs and so on, without the look at every process that psutil takes."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:  # it has just ended, or one of its threads
        return found
    return found + [further for child in found for further in _below(child)]


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
