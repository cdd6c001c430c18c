"""A SQLite file among many who write, kills, a full disk, hands that move it: F51 to F57a."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from faults.frame import row
from faults.harm import PATIENCE, tracebacks
from faults.trial import Trial
from longshore import Longshore, StoreError, StoreFull, StoreUnwritable
from longshore.core.model import JobState
from longshore.core.store import Filter
from longshore.stores.sqlite import file as sqlite_file
from tests.checker_tools import quantile
from tests.ledger_tools import Word, now

SQLITE = ("sqlite",)
THREADS = 4
CONFIGURATION, UNREACHABLE = 5, 4


def _file(trial: Trial) -> Path:
    return trial.folder / "jobs.db"


def _whole(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        return connection.execute("pragma integrity_check").fetchall() == [("ok",)]


@row("F51", "eight processes contend for the file", on=SQLITE, jobs=20_000)
def contention(trial: Trial) -> None:
    for _ in range(4):
        trial.worker()
    trial.ready(8)
    trial.load()
    trial.settle(300)
    said = trial.workers.said()
    trial.exactly("'locked' in any log", said.count("locked"), 0)
    trial.exactly("uncertain", trial.account.uncertain if trial.account else -1, 0)
    trial.exactly("tracebacks", tracebacks(trial), 0)
    waits = trial.waits()
    trial.figures["p99 of the wait, s"] = quantile(waits, 0.99)
    trial.at_most("p99 of the wait, s", quantile(waits, 0.99), 0.5, timed=True)


@row("F52", "the one who writes is stopped inside its transaction", on=SQLITE)
def stopped_writer(trial: Trial) -> None:
    """The watch over children ends the stopped one; until then everybody else waits."""
    trial.worker(
        threads=THREADS,
        failpoints="in_tx:stop@5",
        processes=1,
    )
    trial.worker(threads=THREADS)
    trial.ready(3)
    load = trial.load(ms=(1, 40))
    trial.until(lambda: _stopped(trial) or load.done, PATIENCE, "a writer that is stopped")
    stopped = now()
    trial.until(lambda: any(line.word is Word.DIED for line in trial.lines), 60, "the end of it")
    died = next(line.at for line in trial.lines if line.word is Word.DIED)
    # The replacement stops at the same moment again.
    trial.workers.all[0].lose()
    account = trial.settle()
    trial.at_most("ended after, s", (died - stopped) / 1e6, trial.lease + 1, timed=True)
    cut = account.duplicated - account.redone
    trial.at_most("bodies cut off and run again, slots", cut, 2 * THREADS)
    trial.holds("the file is whole", _whole(_file(trial)))


def _stopped(trial: Trial) -> bool:
    states: list[str] = []
    for pid in trial.workers.all[0].children():
        with suppress(OSError):
            states.append(
                Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
            )
    return "T" in states


@row("F53", "any process is killed at any moment, again and again", on=SQLITE)
def killed_anyhow(trial: Trial) -> None:
    workers = [trial.worker(threads=THREADS) for _ in range(2)]
    trial.ready(4)
    load = trial.load(endless=True)
    kills, whole = trial.scaled(200, least=6), 0
    for _ in range(kills):
        before = trial.started()
        number = trial.random.randrange(2)
        family = workers[number].family()
        victim = trial.random.choice(family)
        workers[number].kill(victim)
        if victim == workers[number].pid:
            workers[number].process.wait(10)
            workers[number] = trial.worker(threads=THREADS)
        whole += _whole(_file(trial))
        trial.until(lambda before=before: trial.started() >= before + 10, PATIENCE, "work")
    load.stop()
    trial.settle()
    trial.figures["kills"] = kills
    trial.exactly("times at which the file was whole", whole, kills)


@row("F54", "its disk is full, then read-only", on=SQLITE)
def no_room(trial: Trial) -> None:
    """A disk of eight megabytes that only this run sees."""
    with _disk(trial.folder / "disk", 8) as disk:
        trial.move(f"sqlite:///{disk}/jobs.db")
        trial.worker()
        trial.ready(2)
        load = trial.load()
        trial.until(lambda: trial.started() > 10, PATIENCE, "work")
        _fill(disk / "other")
        load.end(PATIENCE + trial.jobs)
        refused = _refusal(trial)
        trial.holds("a full disk: StoreFull", refused is StoreFull, str(refused))
        (disk / "other").unlink()
        free = now()
        trial.until(lambda: _refusal(trial) is None, PATIENCE, "an enqueue")
        trial.at_most("accepted after there was room, s", (now() - free) / 1e6, 2, timed=True)
        trial.until(lambda: _started_since(trial, free), PATIENCE, "work")
        # While anybody has a file of it open for writing, no disk becomes read-only.
        for worker in trial.workers.all:
            worker.end()
        trial.app.jobs.close()
        _mount("-o", "remount,ro", str(disk))
        trial.reopen()
        refused = _refusal(trial)
        trial.holds("read-only: StoreUnwritable", refused is StoreUnwritable, str(refused))
        trial.app.jobs.close()
        _mount("-o", "remount,rw", str(disk))
        trial.reopen()
        trial.holds("accepted when it can be written", _refusal(trial) is None)
        trial.worker()
        trial.settle()
        trial.exactly("tracebacks", tracebacks(trial), 0)
        trial.holds("the file is whole", _whole(disk / "jobs.db"))
        trial.rest()


def _started_since(trial: Trial, moment: int) -> bool:
    return any(line.word is Word.STARTED and line.at > moment for line in trial.lines)


def _refusal(trial: Trial) -> type[StoreError] | None:
    """How the store refuses one more job; ``None`` if it takes it."""
    try:
        trial.give("work")
    except StoreError as error:
        return type(error)
    return None


def _fill(path: Path) -> None:
    """Take all room that is left."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


NEW_MOUNTS, FILES = 0x00020000, 0x00000200


@contextmanager
def _disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system in memory that this thread, and who it starts, sees; gone with them."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder.mkdir()
    mounts = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
    if libc.unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "a mount of one's own needs CAP_SYS_ADMIN (run as root)")
    try:
        _mount("--make-rprivate", "/")
        _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "faults", str(folder))
        yield folder
    finally:
        libc.unshare(FILES)
        if libc.setns(mounts, NEW_MOUNTS):
            raise OSError(ctypes.get_errno(), "the way back to the mounts of all")
        os.close(mounts)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, stdin=subprocess.DEVNULL)


@row("F55", "the file is moved away, or deleted, under a running worker", on=SQLITE)
def replaced(trial: Trial) -> None:
    """That a worker notices is a rule of the SQLite store: each look at the file compares it."""
    path = _file(trial)
    for how in ("moved", "deleted"):
        worker = trial.worker()
        trial.ready(2)
        trial.load(max(20, trial.jobs // 2))
        trial.until(lambda: trial.started() > 10, PATIENCE, "work")
        trial.loads[-1].end(PATIENCE)
        trial.until(lambda: not _live(trial), PATIENCE, "the end of the jobs")
        kept = trial.folder / f"{how}.db"
        # A second name for it, to ask afterwards whether anybody wrote to what was taken away.
        kept.hardlink_to(path)
        before = kept.stat().st_mtime_ns
        for file in trial.folder.glob("jobs.db*"):
            file.rename(trial.folder / f"away-{how}-{file.name}")
        since = now()
        with suppress(AssertionError):
            trial.until(lambda worker=worker: "this worker ends" in worker.said(), 20, "a word")
        trial.at_most(f"{how}: told after, s", (now() - since) / 1e6, 5, timed=True)
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(20)
        code = worker.process.poll()
        trial.holds(f"{how}: exit code {UNREACHABLE}", code == UNREACHABLE, str(code))
        trial.holds(f"{how}: nothing more was written", kept.stat().st_mtime_ns == before)
        if worker.alive:
            worker.lose()
        for file in trial.folder.glob(f"away-{how}-*"):
            file.rename(trial.folder / file.name.removeprefix(f"away-{how}-"))
        kept.unlink()
        trial.move(trial.where.url)
    trial.worker()
    trial.settle()


def _live(trial: Trial) -> int:
    counted = trial.counted()
    ended = {JobState.SUCCEEDED, JobState.DEAD, JobState.CANCELLED}
    return sum(jobs for state, jobs in counted.items() if state not in ended)


@row(
    "F56", "a reader keeps an old snapshot, and the log cannot be folded in", on=SQLITE, jobs=20_000
)
def old_snapshot(trial: Trial) -> None:
    """The warning is a rule of the SQLite store."""
    worker = trial.worker()
    trial.ready(2)
    log = _file(trial).with_name("jobs.db-wal")
    with closing(sqlite3.connect(_file(trial), isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select count(*) from sqlite_master").fetchone()
        load = trial.load()
        load.end(PATIENCE + trial.jobs)
        trial.until(lambda: not _live(trial), PATIENCE * 5, "the end of the jobs")
        trial.figures["log while it was held, bytes"] = log.stat().st_size
        if trial.jobs >= 20_000:
            trial.holds("a warning", "snapshot" in worker.said() or "WAL" in worker.said())
        reader.execute("rollback")
    trial.load(max(20, trial.jobs // 10))
    trial.settle(300)
    trial.figures["log afterwards, bytes"] = log.stat().st_size
    # What was held is folded in; the file itself keeps its length until it is truncated.
    trial.at_most("log afterwards, MB", log.stat().st_size / 1e6, 64)


@row("F57a", "the file is on a network file system", on=SQLITE, jobs=10)
def network_file_system(trial: Trial) -> None:
    """What the system says of its mounts is fake here; the refusal is true."""
    kinds = {"nfs", "nfs4", "cifs", "smb3", "9p"}
    original = sqlite_file.file_system
    refused = set[str]()
    for kind in sorted(kinds):
        sqlite_file.file_system = lambda _path, kind=kind: kind  # type: ignore[assignment]
        try:
            with closing(Longshore(store=f"sqlite:///{trial.folder}/{kind}.db")) as app:
                app.store.run(app.store.count(Filter()))
        except StoreError as error:
            if kind in str(error):
                refused.add(kind)
        finally:
            sqlite_file.file_system = original
    trial.holds("refused: " + ", ".join(sorted(kinds)), refused == kinds, str(refused))
    trial.worker()
    trial.load()
    trial.settle()
