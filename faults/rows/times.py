"""Clocks that are wrong, time that nobody was there, and what is due all at once: F63 to F69."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from faults.frame import SERVERS, row
from faults.golden import GOLDEN
from faults.harm import PATIENCE
from faults.trial import Trial
from longshore.core.model import JobState, NewJob
from longshore.core.schedules import Outcome, Schedule, SetSchedule
from longshore.core.ticks import next_due, planned
from longshore.ids import new_id
from longshore.stores.clock import ManualClock
from tests.checker_tools import quantile
from tests.ledger_tools import now
from tests.places import place
from tests.server_programs import ENVIRONMENT
from tests.servers import private
from tests.stores import opened

SECOND = 1_000_000
PACKAGE, LIBRARY = "libfaketime", "libfaketimeMT.so.1"
HOUR = 3600


@row("F63", "the clock of one of two workers is an hour off", on=SERVERS)
def wrong_clock(trial: Trial) -> None:
    """Not on SQLite: there the machine's clock is the store's."""
    library = _library(trial.folder)
    trial.app.jobs.schedules.add("s", trial.app.tick.bind(), "* * * * * *")
    for offset in (HOUR, -HOUR):
        wrong = trial.worker(
            environment={
                "LD_PRELOAD": str(library),
                "FAKETIME": f"{offset:+d}",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        )
        right = trial.worker()
        trial.ready(4)
        trial.load(max(50, trial.jobs // 2), ms=(1, 100)).end(300)
        trial.wait(2 * trial.lease)
        for worker in (wrong, right):
            worker.end()
    trial.app.jobs.schedules.pause("s")
    trial.worker()
    account = trial.settle()
    trial.exactly("duplicated", account.duplicated, 0)
    _one_job_a_tick(trial, ["s"])
    ticks = trial.app.jobs.schedules.ticks("s", 1000)
    early = [tick for tick in ticks if tick.at > tick.made_at + SECOND // 10]
    trial.exactly("ticks fired before their time", len(early), 0)


def _library(folder: Path) -> Path:
    """The library that fakes the time: the system's, or one unpacked beside the run.

    Raises:
        FileNotFoundError: it is neither here nor to be had.
    """
    for root in (Path("/usr/lib"), folder):
        if root == folder:
            subprocess.run(
                ["apt-get", "download", "-qq", PACKAGE],
                cwd=folder,
                check=False,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for package in folder.glob(f"{PACKAGE}_*.deb"):
                subprocess.run(["dpkg", "-x", package.name, "."], cwd=folder, check=False)
        found = next(root.glob(f"**/faketime/{LIBRARY}"), None)
        if found is not None:
            return found
    raise FileNotFoundError(
        f"{LIBRARY} is needed to fake a clock; install {PACKAGE} (apt-get install {PACKAGE})"
    )


@row(
    "F64",
    "the clock of the server steps an hour forward, then two back",
    on=("postgres18", "mariadb"),
)
def server_clock(trial: Trial) -> None:
    """Not on Redis, whose allocator asks for the time before the library that fakes it is ready."""
    clock = trial.folder / "clock"
    clock.write_text("+0")
    faked = {
        "LD_PRELOAD": str(_library(trial.folder)),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    given = [f"{ENVIRONMENT}{name}={value}" for name, value in faked.items()]
    with (
        private(trial.store_kind, *given, durable=True) as server,
        place(trial.store_kind, trial.folder, server) as where,
    ):
        trial.move(where.url)
        trial.app.jobs.schedules.add("s", trial.app.tick.bind(), "* * * * * *", catch_up="one")
        for _ in range(2):
            trial.worker(threads=16)
        trial.ready(4)
        later = [trial.give("work", options={"delay": 1800}) for _ in range(5)]
        held = [trial.give("work", ms=int(6000 * trial.lease)) for _ in range(12)]
        trial.until(lambda: trial.started(*held) == len(held), PATIENCE, "their start")
        for offset in (HOUR, -HOUR):
            clock.write_text(f"{offset:+d}")
            trial.wait(2 * trial.lease)
        # What was due later came early by the step, as documented; what was enqueued after the
        # step forward waits until the clock is there again.
        clock.write_text(f"{HOUR:+d}")
        trial.load(max(20, trial.jobs // 4)).end(300)
        trial.app.jobs.schedules.pause("s")
        account = trial.settle()
        _one_job_a_tick(trial, ["s"], whole=False)
        trial.exactly("starts of what ran all the time", trial.started(*held), len(held))
        trial.exactly("starts of what was to come later", trial.started(*later), len(later))
        trial.exactly("duplicated", account.duplicated, 0)
        trial.rest()


@row("F65", "everything but the clock stands still for ten leases", jobs=200)
def suspended(trial: Trial) -> None:
    def away(workers: list[Any]) -> None:
        families = [(worker, worker.freeze()) for worker in workers]
        trial.wait(10 * trial.lease)
        for worker, family in families:
            worker.thaw(family)

    _nobody_there(trial, away)


@row("F67", "nobody fires twenty-four ticks", jobs=200)
def scheduler_down(trial: Trial) -> None:
    def away(workers: list[Any]) -> None:
        for worker in workers:
            worker.lose()
        trial.wait(25)
        trial.worker()

    _nobody_there(trial, away)


def _nobody_there(trial: Trial, away: Callable[[list[Any]], None]) -> None:
    """Each policy exactly, and a word on every tick."""
    schedules, bound = trial.app.jobs.schedules, trial.app.tick.bind()
    for policy in ("none", "one", "all"):
        schedules.add(policy, bound, "* * * * * *", catch_up=policy)
    schedules.add("aged", bound, "* * * * * *", catch_up="all", max_age="8s")
    names = ("none", "one", "all", "aged")
    workers = [trial.worker() for _ in range(2)]
    trial.load(max(20, trial.jobs // 4))
    trial.until(lambda: all(len(schedules.ticks(name)) > 2 for name in names), PATIENCE, "ticks")
    since = {name: schedules.ticks(name)[0].at for name in names}
    before = now()
    away(workers)
    gone = (now() - before) // SECOND
    until = {name: since[name] + (gone + 3) * SECOND for name in names}
    trial.until(
        lambda: all(schedules.ticks(name)[0].at > until[name] for name in names),
        PATIENCE,
        "the ticks afterwards",
    )
    for name in names:
        schedules.pause(name)
    trial.settle()
    _one_job_a_tick(trial, names)
    for name in names:
        ticks = [tick for tick in reversed(schedules.ticks(name, 1000)) if tick.at > since[name]]
        # The last firing that settled many at once was the one after everybody was back.
        often = Counter(tick.made_at for tick in ticks)
        down = [tick for tick in ticks if tick.made_at == often.most_common(1)[0][0]]
        fired = [tick for tick in down if tick.outcome is Outcome.FIRED]
        trial.at_least(f"{name}: ticks that were due meanwhile", len(down), gone - 6)
        wanted = {
            "none": down[-1:],
            "one": down[-1:],
            "all": down,
            "aged": [tick for tick in down if tick.made_at - tick.at <= 8 * SECOND],
        }[name]
        trial.holds(
            f"{name}: fired what its policy says", fired == wanted, f"{len(fired)} of {len(down)}"
        )


def _one_job_a_tick(trial: Trial, names: Any, *, whole: bool = True) -> None:
    """Every tick is told of, and each that fired has one job."""
    jobs = Counter(
        (record.meta["schedule"], record.meta["tick"])
        for record in trial.history()
        if record.meta and "tick" in record.meta
    )
    trial.at_most("jobs of one tick", max(jobs.values(), default=0), 1)
    for name in names:
        ticks = trial.app.jobs.schedules.ticks(name, 1000)
        times = sorted(tick.at for tick in ticks)
        wanted = list(range(times[0], times[-1] + 1, SECOND))
        if whole:
            found = f"{len(times)} of {len(wanted)}"
            trial.holds(f"{name}: a word on every tick", times == wanted, found)
        fired = {(name, tick.at) for tick in ticks if tick.outcome is Outcome.FIRED}
        trial.exactly(f"{name}: fired without a job", len(fired - set(jobs)), 0)


@row("F66", "clocks are changed, and a day is left out", jobs=10)
def changed_clocks(trial: Trial) -> None:
    """Each case is fired through the store, at every instant a schedule of it is due."""
    clock, wrong = ManualClock(), dict[str, str]()
    folder = trial.folder / "golden"
    folder.mkdir()
    with place(trial.store_kind, folder, trial.server) as where:
        store = opened(where, clock=clock)
        store.migrate()
        try:
            for number, (when, tz, start, wanted) in enumerate(GOLDEN):
                found = _fired(store, clock, f"s{number}", when, tz, start, len(wanted))
                if found != list(wanted):
                    wrong[f"{when} {tz}"] = str(found)
        finally:
            store.close()
    instants = sum(len(wanted) for *_, wanted in GOLDEN)
    trial.figures["instants"] = instants
    trial.at_least("instants", instants, 40)
    trial.holds("each instant is that of the table", not wrong, str(wrong))
    trial.worker()
    trial.load()
    trial.settle()


def _fired(  # noqa: PLR0917 - a case of the table
    store: Any, clock: ManualClock, name: str, when: str, tz: str, start: str, count: int
) -> list[str]:
    """The instants, in UTC to the minute, at which a schedule fires from this time on."""
    clock.set_wall(int(datetime.fromisoformat(start + "+00:00").timestamp()) * SECOND)
    job = NewJob("", "app.job", "default", b"{}", JobState.AVAILABLE, 0, 0, 0)
    schedule = Schedule(name=name, when=when, tz=tz, job=job)
    store.run(store.set_schedule(SetSchedule(name=name, verb="add", schedule=schedule)))
    for _ in range(count):
        (record,) = [one for one in store.run(store.schedules()) if one.name == name]
        due = next_due(record)
        assert due is not None
        clock.set_wall(due)
        plan = planned(record, due, new_id)
        if plan is not None:
            store.run(store.fire([plan]))
    ticks = sorted(tick.at for tick in store.run(store.ticks(name, limit=1000)))
    store.run(store.set_schedule(SetSchedule(name=name, verb="pause")))
    return [f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%dT%H:%M}" for at in ticks[:count]]


@row("F68", "who fires ticks is stopped past its lease, just before it does", jobs=1000)
def paused_leader(trial: Trial) -> None:
    names = [f"s{number}" for number in range(20)]
    for name in names:
        trial.app.jobs.schedules.add(name, trial.app.tick.bind(), "* * * * * *", catch_up="all")
    stopping = trial.worker(failpoints="before_tick_insert:stop@3")
    trial.worker()
    wanted = trial.jobs

    def settled() -> int:
        return sum(one.fired + one.skipped + one.missed for one in trial.app.jobs.schedules.list())

    trial.load(max(20, trial.jobs // 10))
    while settled() < wanted:
        _until_stopped(trial, stopping.pid, so=True)
        trial.wait(trial.lease + 0.5)
        stopping.resume()
        _until_stopped(trial, stopping.pid, so=False)
        if settled() < wanted:
            # The failpoint is met once in the life of a process.
            stopping.end()
            stopping = trial.worker(failpoints="before_tick_insert:stop@3")
    for name in names:
        trial.app.jobs.schedules.pause(name)
    trial.settle()
    trial.figures["ticks"] = settled()
    _one_job_a_tick(trial, names)


def _until_stopped(trial: Trial, pid: int, *, so: bool) -> None:
    trial.until(lambda: _is_stopped(pid) is so, PATIENCE, "the stop of who fires, or its end")


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


@row("F69", "very many jobs are due in the same second", jobs=100_000)
def due_at_once(trial: Trial) -> None:
    trial.worker("-Q", "other,*")
    trial.ready(2)
    due = datetime.now(UTC) + timedelta(seconds=max(5, trial.jobs / 2000))
    for _ in range(0, trial.jobs, 1000):
        trial.many("work", min(1000, trial.jobs), at=due)
    since = now()
    # Unrelated jobs come while all the others become due and are run.
    others = list[int]()
    while trial.started() - len(others) < trial.jobs * 0.9:
        others.append(trial.give("work", options={"queue": "other"}))
        trial.wait(0.1)
    account = trial.settle(60 + trial.jobs / 50)
    waits = sorted(_wait(trial, others))
    trial.figures |= {"others": len(others), "p99 of their wait, s": quantile(waits, 0.99)}
    trial.at_most("p99 of the wait of another queue, s", quantile(waits, 0.99), 2, timed=True)
    trial.exactly("duplicated", account.duplicated, 0)
    trial.figures["seconds from then to the end"] = (now() - since) / 1e6


def _wait(trial: Trial, numbers: list[int]) -> list[float]:
    asked: dict[int, int] = {}
    waits: list[float] = []
    theirs = set(numbers)
    for line in trial.lines:
        if line.n in theirs and line.word == "attempted":
            asked[line.n] = line.at
        elif line.n in theirs and line.word == "started" and line.n in asked:
            waits.append((line.at - asked.pop(line.n)) / 1e6)
    return waits
