"""Batches and workflows in the caller's transaction: with members and callbacks, or not at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from longshore import CONTEXT, JobContext, Longshore, current
from longshore.core.model import JobState
from longshore.errors import BatchFinished, EnqueueError
from tests import transaction_tools
from tests.harbour_tools import eventually
from tests.places import each
from tests.storm_tools import settings_on
from tests.transaction_tools import Table, Way, cases

pytestmark = pytest.mark.timeout(60)

case, jobs, way = transaction_tools.case, transaction_tools.stored_jobs, transaction_tools.way


def work(jobs: Longshore) -> None:
    jobs.worker(threads=2).run(until_empty=True)


class Desk:
    """The application's jobs and what its callbacks said."""

    def __init__(self, jobs: Longshore) -> None:
        self.jobs = jobs
        self.said: list[str] = []

        @jobs.job(kind="part")
        def part(number: int) -> int:
            return number + 1

        @jobs.job(kind="tell")
        def tell(what: str) -> None:
            self.said.append(what)

        self.part, self.tell = part, tell

    def batch(self, **more: Any) -> Any:
        said = {f"on_{what}": self.tell.bind(what) for what in ("success", "complete", "death")}
        return self.jobs.batch("b", **{**said, **more})

    async def fill(self, way: Way, made: list[Any]) -> None:
        """A batch with one inside, an empty one, a workflow and a chain, in the way that fits."""
        batch, empty = self.batch(), self.batch(on_success=self.tell.bind("empty"))
        flow = self.jobs.workflow("w")
        if way.awaits:
            async with batch:
                for number in range(3):
                    await batch.aadd(self.part.bind(number))
                async with batch.batch("inside", on_complete=self.tell.bind("inside")) as inside:
                    await inside.aadd(self.part.bind(9))
            async with empty:
                pass
            async with flow:
                first = flow.add(self.part.bind(1))
                last = flow.add(self.part.bind(first.output))
            chained = await self.jobs.chain(self.part.bind(5)).then(self.part).aenqueue()
        else:
            with batch:
                for number in range(3):
                    batch.add(self.part.bind(number))
                with batch.batch("inside", on_complete=self.tell.bind("inside")) as inside:
                    inside.add(self.part.bind(9))
            with empty:
                pass
            with flow:
                first = flow.add(self.part.bind(1))
                last = flow.add(self.part.bind(first.output))
            chained = self.jobs.chain(self.part.bind(5)).then(self.part).enqueue()
        made += [batch, empty, flow, last, chained]


def stored(jobs: Longshore) -> tuple[int, int]:
    """How many jobs there are, callbacks that are called included; and how many bundles."""
    return jobs.query.count(), len(jobs.store.run(jobs.store.bundles()))


@pytest.mark.parametrize("case", cases(), indirect=True)
def test_all_of_it_commits_or_none(way: Way, jobs: Longshore) -> None:
    desk = Desk(jobs)
    rows = []

    async def body() -> None:
        for commit in (False, True):
            made.clear()
            async with way.begin() as opened:
                await opened.work(1)
                with jobs.transaction(opened.given):
                    await desk.fill(way, made)
                seen.append(await _counted(way, jobs))
                await (opened.commit() if commit else opened.rollback())
            seen.append(await _counted(way, jobs))
            rows.append(Table.rows(jobs.settings.store.reveal()))

    made: list[Any] = []
    seen: list[tuple[int, int]] = []
    way.run(body())
    # Four members, four nodes, and the two callbacks that an empty batch calls at once.
    assert seen == [(0, 0), (0, 0), (0, 0), (10, 5)]
    assert rows == [[], [1]]
    work(jobs)
    batch, empty, flow, last, chained = made
    batch.refresh()
    assert (batch.total, batch.succeeded, batch.finished) == (4, 4, True)
    assert empty.refresh().finished
    assert flow.refresh().finished
    assert last.handle.result(timeout=5) == 3
    assert chained.result(timeout=5) == 7
    assert sorted(desk.said) == ["complete", "complete", "empty", "inside", "success"]


@pytest.mark.parametrize("case", cases(), indirect=True)
def test_who_comes_late_comes_with_the_commit(way: Way, jobs: Longshore) -> None:
    desk = Desk(jobs)
    with desk.batch() as batch:
        batch.add(desk.part.bind(0))

    async def body() -> None:
        for commit in (False, True):
            found = await jobs.batches.aget(batch.id) if way.awaits else jobs.batches.get(batch.id)
            async with way.begin() as opened:
                with jobs.transaction(opened.given):
                    await _add(way, found, desk.part.bind(1))
                await (opened.commit() if commit else opened.rollback())
            totals.append((await found.arefresh() if way.awaits else found.refresh()).total)

    totals: list[int] = []
    way.run(body())
    assert totals == [1, 2]
    work(jobs)
    assert sorted(desk.said) == ["complete", "success"]
    late: list[str] = []

    async def too_late() -> None:
        async with way.begin() as opened:
            await opened.work(5)
            with jobs.transaction(opened.given):
                try:
                    await _add(way, batch, desk.part.bind(2))
                except BatchFinished as error:
                    late.append(str(error))
            await opened.commit()

    way.run(too_late())
    assert "too late" in late[0]
    # Refused, and the caller's own work is his all the same.
    assert Table.rows(jobs.settings.store.reveal()) == [5]
    assert stored(jobs) == (4, 1)


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize(
    "case",
    cases(lambda way: way in {transaction_tools.SQLite, transaction_tools.Psycopg})
    + cases(lambda way: way is transaction_tools.PyMySQL),
    indirect=True,
)
def test_a_batch_does_not_finish_under_who_adds_to_it(
    way: Way, jobs: Longshore, commit: bool
) -> None:
    """The last member ends while another is added in a transaction that is open."""
    desk = Desk(jobs)
    with desk.batch() as batch:
        only = batch.add(desk.part.bind(0))
    worker = threading.Thread(target=work, args=(jobs,))

    async def body() -> None:
        async with way.begin() as opened:
            with jobs.transaction(opened.given):
                await _add(way, batch, desk.part.bind(1))
            worker.start()
            threading.Event().wait(0.5)
            assert desk.said == []
            await (opened.commit() if commit else opened.rollback())

    way.run(body())
    worker.join(30)
    work(jobs)
    assert only.result(timeout=5) == 1
    eventually(lambda: batch.refresh().finished, 10)
    assert batch.total == 1 + commit
    assert sorted(desk.said) == ["complete", "success"]


def test_one_connection_for_one_job_of_a_batch_is_refused(tmp_path: Path) -> None:
    app = Longshore(f"sqlite:///{tmp_path}/jobs.db")
    app.migrate()
    desk = Desk(app)
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        bound = desk.part.using(connection=connection).bind(1)
        batch = app.batch("b")
        with batch, pytest.raises(EnqueueError, match=r"jobs\.transaction\(connection\)"):
            batch.add(bound)
        other = closing(sqlite3.connect(":memory:"))
        chain = app.chain(desk.part.bind(1)).then(desk.part)
        with (
            other as elsewhere,
            app.transaction(elsewhere),
            pytest.raises(EnqueueError, match="stored as a whole"),
        ):
            chain.enqueue()
    assert stored(app) == (0, 1)
    app.close()


# --- in a job's own transaction ---


@pytest.fixture
def stored_on(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    with settings_on(request.param, tmp_path) as settings:
        shards = settings.get("LONGSHORE_SHARDS")
        app = Longshore(
            **({"shards": shards.split()} if shards else {"store": settings["LONGSHORE_STORE"]})
        )
        app.migrate()
        yield app
        app.close()


@pytest.mark.parametrize(
    "stored_on",
    [*each("sqlite", "postgres16", "postgres18", "mariadb"), "sqlite-shards"],
    indirect=True,
)
def test_what_a_member_adds_in_its_transaction_belongs_to_it(stored_on: Longshore) -> None:
    app = stored_on
    desk = Desk(app)

    @app.job(kind="split", max_attempts=2)
    def split(ctx: JobContext = CONTEXT) -> str:
        batch = current().batch
        assert batch is not None
        with ctx.transaction():
            for number in range(3):
                batch.add(desk.part.bind(number))
            with app.batch("beside", on_complete=desk.tell.bind("beside")) as beside:
                beside.add(desk.part.bind(7))
            if ctx.attempt == 1:
                raise RuntimeError
            ctx.succeed(beside.id)
        return "dropped"

    with desk.batch() as batch:
        handle = batch.add(split.bind())
    work(app)
    assert handle.refresh().state is JobState.RETRYING
    assert (batch.refresh().total, batch.pending) == (1, 1)
    assert stored(app) == (1, 1)
    assert handle.retry()
    work(app)
    beside = app.batches.get(handle.result(timeout=5))
    assert (beside.total, beside.succeeded) == (1, 1)
    assert (batch.refresh().total, batch.succeeded, batch.finished) == (4, 4, True)
    assert sorted(desk.said) == ["beside", "complete", "success"]


# --- helpers ---


async def _counted(way: Way, jobs: Longshore) -> tuple[int, int]:
    if not way.awaits:
        return stored(jobs)
    bundles = await jobs.store.arun(jobs.store.bundles())
    return await jobs.query.acount(), len(bundles)


async def _add(way: Way, batch: Any, bound: Any) -> None:
    if way.awaits:
        await batch.aadd(bound)
    else:
        batch.add(bound)
