"""Schedules in full size: three workers, one or another stopped past its lease, 1 000 ticks."""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from longshore.core.schedules import Outcome
from tests.harbour_tools import Harbour, eventually
from tests.places import each, place

pytestmark = [pytest.mark.timeout(900)]
SERVERS = ("postgres16", "postgres18", "mariadb", "redis", "valkey")
SCHEDULES = 25
TICKS = 1000
LEASE = 3.0


@contextmanager
def ticking(kind: str, folder: Path) -> Iterator[Harbour]:
    with place(kind, folder) as made:
        harbour = Harbour(folder, LEASE, name="ticking", TICKING=str(SCHEDULES), **made.environment)
        harbour.jobs.migrate()
        try:
            yield harbour
        finally:
            harbour.stop()


def stopped(harbour: Harbour, worker: subprocess.Popen[str], seconds: float) -> None:
    """Stop a worker and its children for a time: the supervisor first, so that it sees nothing."""
    family = harbour.family(worker)
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    threading.Event().wait(seconds)
    for pid in reversed(family):
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("kind", each("sqlite", *SERVERS))
def test_a_thousand_ticks_have_a_job_each(kind: str, tmp_path: Path) -> None:
    chance = random.Random(11)
    with ticking(kind, tmp_path) as harbour:
        workers = [harbour.worker() for _ in range(3)]
        names = [f"s{number}" for number in range(SCHEDULES)]

        def settled() -> int:
            return sum(
                one.fired + one.skipped + one.missed for one in harbour.jobs.schedules.list()
            )

        eventually(lambda: settled() > SCHEDULES, 60, "the first ticks")
        while settled() < TICKS:
            # At any instant of its work, some of them between the plan and its write.
            threading.Event().wait(chance.uniform(0.0, 1.0))
            stopped(harbour, chance.choice(workers), LEASE + chance.uniform(0.2, 1.0))
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(60)
        late: list[float] = []
        for name in names:
            ticks = harbour.jobs.schedules.ticks(name, 1000)
            times = sorted(tick.at for tick in ticks)
            assert times == list(range(times[0], times[-1] + 1, 1_000_000)), "a tick is missing"
            assert {tick.outcome for tick in ticks} == {Outcome.FIRED}
            late += [(tick.made_at - tick.at) / 1000 for tick in ticks]
        jobs = Counter(
            (job.record.meta["schedule"], job.record.meta["tick"]) for job in harbour.jobs.query
        )
        assert len(jobs) == settled()
        assert set(jobs.values()) == {1}
        print(
            f"{kind}: {len(jobs)} ticks of {SCHEDULES} schedules, one job each; fired"
            f" {statistics.median(late):.1f} ms late, at most {max(late):.0f} ms"
        )


@pytest.mark.parametrize("kind", each("sqlite", *SERVERS))
def test_after_twenty_four_ticks_without_a_worker(kind: str, tmp_path: Path) -> None:
    """Each policy exactly, and a word on every tick."""
    with ticking(kind, tmp_path) as harbour:
        schedules, bound = harbour.jobs.schedules, harbour.app.tick.bind(1)
        for policy in ("none", "one", "all"):
            schedules.add(policy, bound, "* * * * * *", catch_up=policy)
        schedules.add("aged", bound, "* * * * * *", catch_up="all", max_age="8s")
        schedules.add("skip", bound, "* * * * * *", catch_up="all", overlap="skip")
        names = ("none", "one", "all", "aged", "skip")
        worker = harbour.worker()
        eventually(lambda: all(len(schedules.ticks(name)) > 2 for name in names), 60, "ticks")
        harbour.lose(worker)
        last = {name: schedules.ticks(name)[0].at for name in names}
        threading.Event().wait(25)
        harbour.worker()
        eventually(
            lambda: all(schedules.ticks(name)[0].at > last[name] + 28_000_000 for name in names),
            60,
            "the ticks after it came back",
        )
        told: dict[str, str] = {}
        for name in names:
            ticks = [t for t in reversed(schedules.ticks(name, 1000)) if t.at > last[name]]
            times = [tick.at for tick in ticks]
            assert times == list(range(last[name] + 1_000_000, times[-1] + 1, 1_000_000))
            down = [tick for tick in ticks if tick.made_at == ticks[0].made_at]
            assert len(down) >= 24
            outcomes = Counter(tick.outcome for tick in down)
            fired = [tick for tick in down if tick.outcome is Outcome.FIRED]
            told[name] = ", ".join(f"{count} {what}" for what, count in sorted(outcomes.items()))
            match name:
                case "none" | "one":
                    # The latest is in time for both: it is no older than 30 s.
                    assert fired == down[-1:]
                case "all":
                    assert fired == down
                case "aged":
                    assert fired == [t for t in down if t.made_at - t.at <= 8_000_000]
                case _:
                    # The first of them runs when the second is due.
                    assert fired == down[:1]
                    assert outcomes[Outcome.SKIPPED] == len(down) - 1
            jobs = {job.id for job in harbour.jobs.query if job.record.meta["schedule"] == name}
            assert {tick.job_id for tick in fired} <= jobs
        print(f"{kind}: after 24 ticks without a worker {told}")


@pytest.mark.parametrize("kind", each("sqlite", *SERVERS))
def test_an_idle_worker_starts_a_job_a_tenth_of_a_second_after_its_tick(
    kind: str, tmp_path: Path
) -> None:
    with ticking(kind, tmp_path) as harbour:
        harbour.worker()
        eventually(
            lambda: sum(one.fired for one in harbour.jobs.schedules.list()) > 8 * SCHEDULES, 60
        )
        began = time.time_ns() // 1000 - 5_000_000
        late = sorted(
            (job.record.attempted_at - job.record.meta["tick"]) / 1000
            for job in harbour.jobs.query
            if job.record.attempted_at is not None and job.record.created_at > began
        )
        print(
            f"{kind}: {len(late)} jobs claimed {statistics.median(late):.1f} ms after their ticks,"
            f" 99 % within {late[int(len(late) * 0.99)]:.0f} ms, at most {late[-1]:.0f} ms"
        )
        assert statistics.median(late) <= 100
