"""``longshore worker`` as a program: W3, W5, W6, W11, and W2 and W7 with several processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.ledger import begun, read
from bench.sample import Invalid, Sample, Stopwatch, exactly_once, percentiles, same
from bench.workloads.settling import settle
from bench.workloads.stores import fill, url_of

if TYPE_CHECKING:
    from longshore import Longshore

LOOK_EVERY = 0.02
PATIENCE = 300.0
SPARE = 1_000
SETTLE = 1.5  # seconds in which a worker that has just worked becomes an idle one
LOG = "worker.log"


def drain(
    home: Path,
    *,
    store: str,
    jobs: int,
    processes: int,
    kept: bool = True,
    settled: bool = False,
) -> Sample:
    """`longshore worker --processes N --until-empty` on stored no-op jobs.

    The clock starts with the first body (starting Python is W6's figure) and stops when this
    process reads from the store that every job succeeded (with nothing kept: that it is empty); it
    looks every 20 ms from when the last body has begun. Where it is beside a store that holds much
    else, what was stored is put away before, as it is there.
    """
    if not kept:
        os.environ |= {"LONGSHORE_KEEP_SUCCEEDED": "0", "BENCH_KEEP_RESULT": "0"}
    app = connected(home, store)
    from bench.application import note  # noqa: PLC0415 - it reads the environment

    fill(app, note.bind, range(jobs))
    if settled:
        settle(store)

    def done() -> bool:
        return succeeded(app) == jobs if kept else app.query.first() is None

    return _drained(home, jobs, done, "--until-empty", "--processes", str(processes))


def drain_before(home: Path, *, store: str, jobs: int, behind: int) -> Sample:
    """As ``fleet.drain`` with one process and so many more jobs behind these in the same queue.

    `--max-jobs` keeps the worker from them. The server has put away what was stored before.
    """
    app = connected(home, store)
    from bench.application import note  # noqa: PLC0415 - it reads the environment

    fill(app, note.bind, range(jobs + behind))
    same("available jobs", app.query.filter(state="available").count(), jobs + behind)
    settle(store)
    sample = _drained(home, jobs, lambda: succeeded(app) == jobs, "--max-jobs", str(jobs))
    same("jobs left", app.query.filter(state="available").count(), behind)
    return sample


def spin(home: Path, *, store: str, jobs: int, processes: int, turns: int) -> Sample:
    """The same with jobs that take 1 ms of the interpreter each."""
    app = connected(home, store)
    from bench.application import spin as spinning  # noqa: PLC0415 - it reads the environment

    fill(app, lambda number: spinning.bind(number, turns), range(jobs))
    options = ("--until-empty", "--processes", str(processes))
    return _drained(home, jobs, lambda: succeeded(app) == jobs, *options)


def latency(home: Path, *, store: str, jobs: int, per_second: int) -> Sample:
    """`enqueue` calls at a steady pace in this process, `longshore worker` in another.

    From the start of the enqueue call to the start of the body, by the machine's monotonic clock.
    """
    app = connected(home, store)
    from bench.application import note  # noqa: PLC0415 - it reads the environment

    return paced(
        home,
        running(home, jobs + 1),
        note.enqueue,
        lambda: succeeded(app),
        jobs=jobs,
        per_second=per_second,
    )


def paced(
    home: Path,
    other: AbstractContextManager[object],
    enqueue: Callable[[int], object],
    done: Callable[[], int],
    *,
    jobs: int,
    per_second: int,
) -> Sample:
    """From the start of each call of `enqueue` to what the `other` process's ledger says.

    ``done`` says how many jobs are over; one goes before the others.
    """
    called: list[int] = []
    with other:
        enqueue(jobs)
        until(lambda: done() == 1, "the first job")
        start = time.monotonic() + 0.1
        for number in range(jobs):
            time.sleep(max(0.0, start + number / per_second - time.monotonic()))
            called.append(time.monotonic_ns())
            enqueue(number)
        until(lambda: done() == jobs + 1, "the last job")
        took = time.monotonic() - start
    entries = read(home)
    exactly_once((entry.number for entry in entries), jobs + 1)
    waits = [entry.at - called[entry.number] for entry in entries if entry.number < jobs]
    return Sample(percentiles(waits), took)


def results(home: Path, *, store: str, jobs: int) -> Sample:
    """One job after the other is awaited by `result(timeout=5)`; `longshore worker` runs it.

    From the last line of the body, which takes the time, to the return of the call in this process:
    the worker's report, its commit on disk, the store's hint and the reading of the result lie in
    between. Bodies take 0, 10 and 20 ms in turn. By the machine's monotonic clock.
    """
    app = connected(home, store)
    from bench.application import nap  # noqa: PLC0415 - it reads the environment

    waits: list[int] = []
    with running(home, jobs + 1), Stopwatch() as watch:
        nap.enqueue(jobs, 0).result(timeout=PATIENCE)
        for number in range(jobs):
            handle = nap.enqueue(number, number % 3 / 100)
            ended = handle.result(timeout=5)
            waits.append(time.monotonic_ns() - ended)
    same("succeeded jobs", succeeded(app), jobs + 1)
    exactly_once((entry.number for entry in read(home)), jobs + 1)
    return Sample(percentiles(waits, (50, 95, 99)), watch.seconds)


def memory(home: Path, *, store: str, jobs: int) -> Sample:
    """PSS of `longshore worker` and its one child, idle and after many jobs enqueued elsewhere.

    It is the second start, as of an ordinary install, as in W6: a process that compiles what it
    loads keeps the room that this took, and a driver loads what the tools of development brought.
    """
    app = connected(home, store)
    from bench.application import note  # noqa: PLC0415 - it reads the environment

    ordinary = _ordinary(home, store)
    note.enqueue(jobs)
    with running(home, 1, "--max-jobs", "1", **ordinary) as worker:
        ended(worker, home)
    with running(home, jobs + 1, **ordinary) as worker, Stopwatch() as watch:
        note.enqueue(jobs + 1)
        until(lambda: succeeded(app) == 2, "the first job")
        time.sleep(SETTLE)
        idle = sum(map(pss, family(worker.pid)))
        fill(app, note.bind, range(jobs))
        until(lambda: succeeded(app) == jobs + 2, "the last job")
        time.sleep(SETTLE)
        after = sum(map(pss, family(worker.pid)))
    exactly_once((entry.number for entry in read(home)), jobs + 2)
    return Sample({"idle": idle, "after": after}, watch.seconds)


def first_job(home: Path, *, store: str) -> Sample:
    """From starting the program `longshore worker` to the start of the first body.

    It is the second start, as of an ordinary install: the first one compiles, bytecode is kept, and
    what others load where it is, is not there: `typing_extensions` (msgspec), but on PostgreSQL,
    whose driver needs it, and `cryptography` (PyMySQL), our extra for encryption.
    """
    app = connected(home, store)
    from bench.application import note  # noqa: PLC0415 - it reads the environment

    ordinary = _ordinary(home, store)
    started, seconds = 0, 0.0
    for number in range(2):
        note.enqueue(number)
        started = time.monotonic_ns()
        with running(home, 2, "--max-jobs", "1", **ordinary) as worker, Stopwatch() as watch:
            ended(worker, home)
        seconds += watch.seconds
    same("succeeded jobs", succeeded(app), 2)
    (entry,) = (each for each in read(home) if each.number == 1)
    return Sample({"ms": (entry.at - started) / 1e6}, seconds)


def _ordinary(home: Path, store: str) -> dict[str, str]:
    """What makes programs start as they do where only Longshore is installed."""
    without = home / "without"
    without.mkdir()
    absent = ["cryptography"] if store == "postgres" else ["cryptography", "typing_extensions"]
    for module in absent:
        (without / f"{module}.py").write_text("raise ImportError\n")
    path = os.pathsep.join(filter(None, (str(without), os.environ.get("PYTHONPATH"))))
    return {
        "PYTHONPATH": path,
        "PYTHONPYCACHEPREFIX": str(home / "bytecode"),
        "PYTHONDONTWRITEBYTECODE": "",
    }


def _drained(home: Path, jobs: int, done: Callable[[], bool], *options: str) -> Sample:
    with running(home, jobs, *options) as worker:
        until_over(worker, home, jobs, done)
        stopped = time.monotonic_ns()
        ended(worker, home)
    same("jobs that are not done", int(not done()), 0)
    entries = read(home)
    exactly_once((entry.number for entry in entries), jobs)
    seconds = (stopped - min(entry.at for entry in entries)) / 1e9
    return Sample({"jobs/s": jobs / seconds}, seconds)


def connected(home: Path, store: str) -> Longshore:
    """The application of the workers, in this process."""
    os.environ["LONGSHORE_STORE"] = url_of(home, store)
    from bench.application import jobs  # noqa: PLC0415 - it reads the environment

    jobs.migrate()
    return jobs


@contextmanager
def running(
    home: Path, jobs: int, *options: str, **surroundings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker while the block runs; afterwards it is told to end and must end well."""
    environment = (
        os.environ | surroundings | {"BENCH_LEDGER": str(home), "BENCH_ENTRIES": str(jobs + SPARE)}
    )
    command = [sys.executable, "-m", "longshore", "-A", "bench.application:jobs", "worker"]
    with (home / LOG).open("wb") as log:
        worker = subprocess.Popen(
            [*command, *options], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield worker
        if worker.poll() is None:
            worker.terminate()
            ended(worker, home)
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


def ended(worker: subprocess.Popen[bytes], home: Path) -> None:
    """Wait for its end; anything but success is :class:`Invalid`."""
    code = worker.wait(timeout=PATIENCE)
    if code != 0:
        said = (home / LOG).read_text(errors="replace").strip().splitlines()[-3:]
        raise Invalid(f"longshore worker ended with exit code {code}: {' | '.join(said)}")


def succeeded(app: Longshore) -> int:
    """How many jobs have durably succeeded."""
    return app.query.filter(state="succeeded").count()


def until_over(
    worker: subprocess.Popen[bytes], home: Path, jobs: int, done: Callable[[], bool]
) -> None:
    """Look until the jobs are done, or the worker has ended before.

    The store is asked from when every body has begun: one that counts its ended jobs fifty times a
    second has less time for those that wait.
    """
    until(
        lambda: worker.poll() is not None or (begun(home) >= jobs and done()),
        "the last job",
    )


def until(true: Callable[[], bool], what: str) -> None:
    """Look until it is so, or :class:`Invalid`."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise Invalid(f"{what} did not end within {PATIENCE:.0f} s")
        time.sleep(LOOK_EVERY)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in below for found in family(int(child)))]


def pss(pid: int | str = "self") -> float:
    """Memory of a process in MiB, pages shared with others counted by their share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise Invalid(f"process {pid} does not say how much memory it has")
