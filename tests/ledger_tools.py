"""A ledger outside every store: what producers tried, what bodies did and who was killed, and when.

A file of lines of one length that is only ever appended to, each line by one write far below the
4096 bytes that reach a file in one piece: it survives any kill, and many processes write it at
once. Times are microseconds since the machine started (`CLOCK_BOOTTIME`), equal for all of them.
"""

from __future__ import annotations

import os
import threading
import time
from enum import StrEnum
from pathlib import Path

import msgspec

#: Bytes of a line with its newline. No line lies in two pages, so none is ever written in part.
LENGTH = 128
_NOTE = LENGTH - 1 - 16 - 1 - 10 - 1 - 9 - 1 - 36 - 1 - 9 - 1 - 8 - 1


class Word(StrEnum):
    """What a line tells."""

    ATTEMPTED = "attempted"  # a producer is about to enqueue number n
    ACKED = "acked"
    REFUSED = "refused"  # nothing was stored
    UNCERTAIN = "uncertain"  # nobody knows whether it was
    STARTED = "started"  # a body began: job, run, pid
    EFFECT = "effect"  # what the body is there for
    FINISHED = "finished"  # the body reached its end
    RAISED = "raised"  # the body was left by an exception
    STOPPED = "stopped"  # SIGSTOP was sent to pid
    RESUMED = "resumed"
    KILLED = "killed"  # the harness sent SIGKILL to pid
    DIED = "died"  # pid was seen to end
    NOTE = "note"  # anything else, for people


class Line(msgspec.Struct, frozen=True):
    """One line; ``at`` in microseconds since boot, ``n`` the number of the job or -1."""

    at: int
    word: Word
    n: int = -1
    job_id: str = ""
    run: int = 0
    pid: int = 0
    note: str = ""


class Ledger:
    """Appends lines to a file; threads and processes share it without a lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(  # noqa: PLR0917 - the fields of a line, in its order
        self, word: Word, n: int = -1, job_id: str = "", run: int = 0, pid: int = 0, note: str = ""
    ) -> None:
        """Append one line, stamped with this moment and, unless told another, this process."""
        text = note.encode("ascii", "replace").decode().replace("\n", " ")[:_NOTE]
        line = (
            f"{now():>16d} {word:<10} {n:>9d} {job_id or '-':<36} {run:>9d}"
            f" {pid or os.getpid():>8d} {text:<{_NOTE}}\n"
        )
        os.write(self._file, line.encode())

    def close(self) -> None:
        os.close(self._file)


def now() -> int:
    """Microseconds since this machine started, its sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def read(path: Path) -> list[Line]:
    """Every line, in the order in which they were written."""
    return Reader(path).lines()


class Reader:
    """Reads a ledger that grows: each line once, however often it is asked for all of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[Line] = []
        self._lock = threading.Lock()

    def lines(self) -> list[Line]:
        """Every line so far, in the order in which they were written."""
        with self._lock:
            with self._path.open("rb") as file:
                file.seek(len(self._lines) * LENGTH)
                data = file.read()
            assert len(data) % LENGTH == 0, f"{self._path} ends within a line"
            self._lines += [
                _line(data[at : at + LENGTH].decode()) for at in range(0, len(data), LENGTH)
            ]
            return self._lines.copy()


def _line(text: str) -> Line:
    at, word, n, job_id, run, pid, *note = text.split(maxsplit=6)
    return Line(
        int(at),
        Word(word),
        int(n),
        "" if job_id == "-" else job_id,
        int(run),
        int(pid),
        note[0].rstrip() if note else "",
    )
