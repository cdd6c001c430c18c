"""What rows do to servers: crash them and time the return of all, or harm them steadily."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pymysql

from faults.trial import Trial
from longshore.core.store_url import parse_url
from tests.checker_tools import runs_of
from tests.harbour_tools import APPS
from tests.ledger_tools import Word, now
from tests.places import mysql, postgres, redis_client

#: Until every client of a server that has come back is at work again, seconds.
BACK = 5.0
#: For a person who watches a row wait.
PATIENCE = 60.0


@contextmanager
def admin(trial: Trial) -> Iterator[Any]:
    """A connection to the trial's server that may do anything there; it commits each statement."""
    url = trial.administrator or trial.where.url
    connection: Any
    if trial.store_kind.startswith("postgres"):
        connection = postgres(parse_url(url))
    elif trial.store_kind == "mariadb":
        connection = mysql(parse_url(url))
    else:
        connection = redis_client(url)
    with contextlib.closing(connection):
        yield connection


def asked(connection: Any, statement: str) -> list[tuple[Any, ...]]:
    """The rows that an SQL statement answers with."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


@contextmanager
def steadily(rate: float, harm: Callable[[], None]) -> Iterator[list[int]]:
    """Do this so many times a second while the block lasts; yields how often it was, as one item.

    What fails is done again next time: who harms a server is sometimes harmed himself.
    """
    end, often = threading.Event(), [0]

    def live() -> None:
        while not end.wait(1 / rate):
            try:
                harm()
            except (psycopg.Error, pymysql.MySQLError, OSError):
                continue
            often[0] += 1

    thread = threading.Thread(target=live, name="faults-harm", daemon=True)
    thread.start()
    try:
        yield often
    finally:
        end.set()
        thread.join(PATIENCE)


def crashes(trial: Trial, crash: Callable[[int], None] | None = None, times: int = 10) -> None:
    """Crash the server again and again under load; all must be back soon each time."""
    for _ in range(2):
        trial.worker()
    trial.ready(4)
    load = trial.load(endless=True)
    often, back = trial.scaled(times), list[float]()
    for number in range(often):
        before = trial.started()
        trial.until(lambda before=before: trial.started() >= before + 20, PATIENCE, "work")
        if crash is None:
            trial.server.kill()
        else:
            crash(number)
        trial.server.start()
        back.append(until_back(trial))
    load.stop()
    account = trial.settle()
    trial.figures |= {"crashes": often, "uncertain and stored": account.recovered}
    trial.at_most("every client back, s", max(back), BACK, timed=True)
    trial.exactly("workers that ended", sum(not one.alive for one in trial.workers.all), 0)


def until_back(trial: Trial) -> float:
    """Seconds from now until each child has begun a job and a producer was acknowledged."""
    since = now()
    children = {pid for worker in trial.workers.all for pid in worker.children()}

    def all_back() -> bool:
        later = [line for line in trial.lines if line.at >= since]
        begun = {line.pid for line in later if line.word is Word.STARTED}
        died = {line.pid for line in trial.lines if line.word is Word.DIED}
        return begun >= children - died and any(line.word is Word.ACKED for line in later)

    trial.until(all_back, PATIENCE, "every client back")
    return (now() - since) / 1e6


def outage(trial: Trial, away: Callable[[], None], leases: float) -> None:
    """The store is away for so many leases: the living keep their jobs, the dead lose them.

    ``away`` takes the store away and returns when it is there again.
    """
    alive, dead = trial.worker(threads=16), trial.worker(threads=16)
    trial.ready(4)
    long = int(1000 * trial.lease * (leases + 3))
    held = [trial.give("work", ms=long) for _ in range(12)]
    trial.until(lambda: trial.started(*held) == len(held), PATIENCE, "their start")
    lost_pids = set(dead.family())
    trial.load()
    began = threading.Timer(trial.lease, dead.lose)
    began.start()
    away()
    back = now()
    began.join()
    account = trial.settle()
    runs = runs_of(trial.lines)
    firsts = {run.n: run for run in reversed(runs)}
    again = [run for run in runs if firsts[run.n] is not run]
    theirs = [run for run in again if firsts[run.n].pid in lost_pids]
    trial.exactly("jobs of the living that ran twice", len(again) - len(theirs), 0)
    trial.at_least("jobs of the dead that ran again", len(theirs), 1)
    late = max(((run.started - back) / 1e6 for run in theirs), default=0.0)
    trial.at_most(
        "jobs of the dead run again after its return, s", late, 2.5 * trial.lease + 0.5, timed=True
    )
    trial.figures["uncertain"] = account.uncertain
    trial.holds("the living worker lives", alive.alive)


def tracebacks(trial: Trial) -> int:
    """How many tracebacks all workers wrote: errors that nobody foresaw."""
    return trial.workers.said().count("Traceback (most recent call last)")


def command(trial: Trial, *arguments: str) -> str:
    """What a command of Longshore says about the trial's store."""
    done = subprocess.run(
        [sys.executable, "-m", "longshore", "-A", "ledgered:jobs", *arguments],
        cwd=APPS,
        env=trial.workers.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.stdout + done.stderr


def pytest_passes(trial: Trial, *arguments: str, environment: dict[str, str]) -> None:
    """A part of the suite passes on the trial's server."""
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=root,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    (trial.folder / "pytest.log").write_text(done.stdout + done.stderr)
    said = (done.stdout.strip().splitlines() or ["nothing"])[-1]
    trial.holds("the suite passes: " + " ".join(arguments), done.returncode == 0, said)
