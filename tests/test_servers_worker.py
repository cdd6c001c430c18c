"""A worker on every store: jobs run, results wake who waits, a killed child loses nothing."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore import Concurrency, JobState, Longshore
from longshore.core.interruptions import AFTER_END
from longshore.core.store import Filter
from tests.harbour_tools import Harbour, eventually
from tests.places import SERVERS, Place, each, place

pytestmark = [pytest.mark.timeout(120)]
EVERY = each("sqlite", *SERVERS)


@pytest.fixture(params=EVERY)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with place(request.param, tmp_path) as made:
        yield made


class Application:
    """Two jobs in one place."""

    def __init__(self, where: Place, **settings: object) -> None:
        self.jobs = Longshore(**where.settings, **settings)

        @self.jobs.job(kind="double")
        def double(n: int) -> int:
            return 2 * n

        @self.jobs.job(kind="adouble")
        async def adouble(n: int) -> int:
            await asyncio.sleep(0)
            return 2 * n

        @self.jobs.job(kind="alone", concurrency=Concurrency(to=1))
        def alone(n: int) -> int:
            return n

        self.double, self.adouble, self.alone = double, adouble, alone


def test_a_worker_runs_what_there_is_and_returns(where: Place) -> None:
    """Tables are made by the first use."""
    app = Application(where)
    handles = [app.double.enqueue(n) for n in range(5)]
    handles += app.jobs.enqueue_many([app.double.bind(n) for n in range(5, 300)])
    handles += [app.adouble.enqueue(n) for n in range(300, 310)]
    app.jobs.worker(threads=4).run(until_empty=True)
    assert [handle.result(timeout=5) for handle in handles[::10]] == list(range(0, 620, 20))
    assert Counter(handle.state for handle in app.jobs.query) == {JobState.SUCCEEDED: 310}
    app.jobs.close()


#: Through PgBouncer nobody can listen, on MariaDB nobody is told: there looking is what helps.
TOLD = each("sqlite", *(kind for kind in SERVERS if kind not in ("pgbouncer", "mariadb")))


@pytest.mark.timed
@pytest.mark.parametrize("where", TOLD, indirect=True)
def test_who_waits_is_woken_by_the_store(where: Place) -> None:
    """Long before the worker, or who waits for the result, would look by itself."""
    app = Application(where, poll_interval="6s")
    took: list[float] = []
    with app.jobs.worker(threads=2).running():
        # A word may be lost while both begin to listen; then looking is what helps.
        assert app.double.enqueue(0).result(timeout=20) == 0
        for n in range(5):
            began = time.monotonic()
            assert app.double.enqueue(n).result(timeout=20) == 2 * n
            took.append(time.monotonic() - began)

        async def ask() -> None:
            for n in range(5):
                began = time.monotonic()
                handle = await app.adouble.aenqueue(n)
                assert await handle.aresult(timeout=20) == 2 * n
                took.append(time.monotonic() - began)

        asyncio.run(ask())
    # A hint may be lost now and then, and is no promise.
    assert sorted(took)[7] < 2
    app.jobs.close()


@pytest.mark.timed
@pytest.mark.parametrize("where", TOLD, indirect=True)
def test_the_next_of_a_limit_is_woken_by_the_end_of_the_last(where: Place) -> None:
    """Long before its worker would look by itself."""
    app = Application(where, poll_interval="6s")
    with app.jobs.worker(threads=2).running():
        assert app.double.enqueue(0).result(timeout=20) == 0
        began = time.monotonic()
        handles = app.jobs.enqueue_many(app.alone.bind(n) for n in range(5))
        assert [handle.result(timeout=50) for handle in handles] == list(range(5))
        # A hint may be lost now and then, and is no promise: two of them, and there is no time.
        assert time.monotonic() - began < 11
    app.jobs.close()


@pytest.mark.slow
def test_a_killed_child_loses_nothing(where: Place, tmp_path: Path) -> None:
    harbour = Harbour(tmp_path, **where.environment)
    try:
        total = 300
        handles = harbour.jobs.enqueue_many(harbour.app.nap.bind(0.02) for _ in range(total))
        killing = harbour.app.kill.enqueue()
        harbour.worker("--until-empty", processes=2)
        harbour.await_ready(2)
        victim = harbour.children(harbour.workers[0])[0].pid
        eventually(lambda: len(harbour.lines()) > 20, 30, "some jobs starting")
        os.kill(victim, signal.SIGKILL)
        assert harbour.workers[0].wait(60) == 0, harbour.logs()
        assert killing.result(timeout=5) == "survived"
        assert len(killing.runs) == 1
        store = harbour.jobs.store
        states: Counter[JobState] = Counter()
        for counted in store.run(store.count(Filter())):
            states[counted.state] += counted.jobs
        assert +states == {JobState.SUCCEEDED: total + 1}
        ended = {line[3] for line in harbour.lines() if line[2] == "end"}
        assert ended == {handle.id for handle in handles}
        # What ran twice was running when its process was killed, or was over and not yet stored,
        # and its history says so.
        starts = Counter(line[3] for line in harbour.lines() if line[2] == "start")
        again = {job_id for job_id, times in starts.items() if times > 1} - {killing.id}
        assert len(again) <= 16, (
            "of two kills, what ran in four slots and what was not yet reported"
        )
        records = store.run(store.get(list(again)))
        assert all(
            record.interruptions or record.runs[0].message == AFTER_END
            for record in records.values()
        )
    finally:
        harbour.stop()
