"""The worker as it runs in production: `longshore worker` in processes of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from demo.place import Place

ROOT = Path(__file__).resolve().parent.parent
DRAIN = 10  # seconds that running jobs get at the end


class WorkerDied(Exception):
    """The worker ended before it was told to."""


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise `WorkerDied` with its last words if it does not run any more."""
        code = self.process.poll()
        if code is not None:
            words = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise WorkerDied(f"the worker ended with exit code {code}; it said:\n{words}")

    def stop(self) -> int:
        """Ask it to finish what runs and end; returns its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=DRAIN + 10)

    def kill(self) -> None:
        """End it and its children, whatever they do."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def worker(place: Place, *, processes: int = 2, threads: int = 4) -> Iterator[Worker]:
    """Run a worker for the duration of the block; what is left of it afterwards is killed."""
    command = [sys.executable, "-m", "longshore", "-A", "demo.app:jobs", "worker"]
    options = [f"--processes={processes}", f"--threads={threads}", f"--shutdown-timeout={DRAIN}"]
    with place.log.open("wb") as log:
        # A session of its own: Ctrl-C reaches the demo alone, which then tells the worker.
        process = subprocess.Popen(
            [*command, *options],
            cwd=ROOT,
            env=os.environ | {"LONGSHORE_STORE": place.store},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started = Worker(process, place.log)
    try:
        yield started
    finally:
        try:
            if process.poll() is None:
                started.stop()
        finally:
            started.kill()
