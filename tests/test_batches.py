"""Batches, chains and workflows as an application uses them, on stores of this process and file."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from longshore import CONTEXT, JobContext, Longshore, Unique, current
from longshore.core.model import JobState
from longshore.errors import (
    ArgsMismatch,
    BatchFinished,
    BatchNotFound,
    CyclicWorkflow,
    EnqueueError,
    InvalidOption,
    NotInAJob,
)
from longshore.ids import new_id


@pytest.fixture(params=["memory", "sqlite", "shards"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    match request.param:
        case "memory":
            app = Longshore("memory://")
        case "sqlite":
            app = Longshore(f"sqlite:///{tmp_path / 'jobs.db'}")
        case _:
            app = Longshore(shards=[f"sqlite:///{tmp_path / f'{n}.db'}" for n in range(3)])
    yield app
    app.close()


def work(app: Longshore) -> None:
    app.worker(threads=4).run(until_empty=True)


class Desk:
    """An application's jobs, and what they did."""

    def __init__(self, app: Longshore) -> None:
        self.done: list[Any] = []

        @app.job(kind="load", max_attempts=1)
        def load(part: int) -> int:
            self.done.append(part)
            if part < 0:
                raise ValueError(part)
            return part * 10

        @app.job(kind="tell")
        def tell(what: str) -> None:
            self.done.append(what)

        @app.job(kind="add")
        def add(one: int, other: int = 0) -> int:
            self.done.append(one + other)
            return one + other

        self.load, self.tell, self.add = load, tell, add

    def callbacks(self) -> dict[str, Any]:
        return {f"on_{what}": self.tell.bind(what) for what in ("success", "complete", "death")}


def test_a_batch_tells_when_all_is_done(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.batch("import", **desk.callbacks()) as batch:
        handles = [batch.add(desk.load.bind(part)) for part in range(5)]
        assert (batch.total, batch.pending) == (5, 5)
    work(jobs)
    assert sorted(desk.done, key=str) == [0, 1, 2, 3, 4, "complete", "success"]
    batch.refresh()
    assert (batch.total, batch.succeeded, batch.dead, batch.finished) == (5, 5, 0, True)
    assert (batch.progress.done, batch.progress.total) == (5, 5)
    assert handles[3].result(timeout=5) == 30
    assert jobs.batches.get(batch.id).name == "import"
    assert [one.id for one in jobs.batches.list()] == [batch.id]
    assert [one.id for one in batch.jobs()] == [one.id for one in handles]


def test_a_death_a_retry_and_the_end(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.batch("import", **desk.callbacks()) as batch:
        batch.add(desk.load.bind(1))
        batch.add(desk.load.bind(-1))
    work(jobs)
    assert sorted(desk.done, key=str) == [-1, 1, "complete", "death"]
    assert (batch.refresh().dead, batch.finished) == (1, True)


def test_an_exception_in_the_block_stores_nothing(jobs: Longshore) -> None:
    desk = Desk(jobs)
    batch = jobs.batch("import")

    def fill() -> None:
        with batch:
            batch.add(desk.load.bind(1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fill()
    assert jobs.query.count() == 0
    with pytest.raises(BatchNotFound):
        jobs.batches.get(batch.id)


def test_awaiting_twins(jobs: Longshore) -> None:
    desk = Desk(jobs)

    async def make() -> None:
        async with jobs.batch("import") as batch:
            await batch.aadd(desk.load.bind(1))
        assert (await batch.arefresh()).total == 1
        assert (await jobs.batches.aget(batch.id)).id == batch.id
        assert len(await batch.ajobs()) == len(await jobs.batches.alist()) == 1
        assert await batch.acancel() == 1
        async with jobs.workflow("w") as flow:
            flow.add(desk.load.bind(1))
        assert (await jobs.workflows.aget(flow.id)).id == flow.id
        assert len(await jobs.workflows.alist()) == 1
        handle = await jobs.chain(desk.load.bind(2)).then(desk.add).aenqueue()
        assert (await handle.arefresh()).state is JobState.WAITING

    asyncio.run(make())


def test_a_member_adds_more(jobs: Longshore) -> None:
    desk = Desk(jobs)

    @jobs.job(kind="split")
    def split(parts: int) -> None:
        batch = current().batch
        assert batch is not None
        for part in range(parts):
            batch.add(desk.load.bind(part))

    with jobs.batch("import", **desk.callbacks()) as batch:
        batch.add(split.bind(4))
    work(jobs)
    assert sorted(desk.done, key=str) == [0, 1, 2, 3, "complete", "success"]
    assert batch.refresh().total == 5


def test_nested_batches_count_in_both(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.batch("outer", on_complete=desk.tell.bind("outer")) as outer:
        outer.add(desk.load.bind(1))
        with outer.batch("inner", on_complete=desk.tell.bind("inner")) as inner:
            inner.add(desk.load.bind(2))
    work(jobs)
    assert sorted(desk.done, key=str) == [1, 2, "inner", "outer"]
    assert (outer.refresh().total, inner.refresh().total) == (2, 1)


def test_a_batch_is_cancelled(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.batch("import", **desk.callbacks()) as batch:
        for part in range(3):
            batch.add(desk.load.bind(part))
    assert batch.cancel("not wanted") == 3
    work(jobs)
    assert desk.done == ["complete"]
    assert batch.refresh().cancelled == 3


def test_what_comes_too_late_is_refused(jobs: Longshore) -> None:
    desk = Desk(jobs)
    batch = jobs.batch("import")
    with pytest.raises(BatchFinished, match="is not stored"):
        batch.add(desk.load.bind(1))
    with batch:
        pass
    with pytest.raises(BatchFinished, match="too late"):
        jobs.batches.get(batch.id).add(desk.load.bind(1))
    with pytest.raises(EnqueueError, match="entered before"):
        batch.__enter__()


def test_a_chain_hands_on_what_came_before(jobs: Longshore) -> None:
    desk = Desk(jobs)
    chain = jobs.chain(desk.load.bind(3)).then(desk.add).then(desk.add.using(queue="low"))
    handle = chain.enqueue()
    work(jobs)
    assert handle.result(timeout=5) == 30
    assert desk.done == [3, 30, 30]
    assert chain.workflow.refresh().finished
    with pytest.raises(EnqueueError, match="gone on"):
        chain.enqueue()


def test_a_workflow_runs_in_order_and_hands_on_values(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.workflow("order") as flow:
        one, two = flow.add(desk.load.bind(1)), flow.add(desk.load.bind(2))
        both = flow.add(desk.add.bind(one.output, other=two.output))
        last = flow.add(desk.tell.bind("thanks"), after=[both])
    work(jobs)
    assert both.handle.result(timeout=5) == 30
    assert desk.done[2:] == [30, "thanks"]
    assert last.handle.refresh().state is JobState.SUCCEEDED
    assert flow.refresh().finished


def test_why_a_job_of_a_workflow_waits(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.workflow("order") as flow:
        bad = flow.add(desk.load.bind(-1))
        last = flow.add(desk.add.bind(bad.output))
    why = last.handle.why_waiting()
    assert why.held_by == (bad.id,)
    assert str(why) == f"It waits for job {bad.id} (load), which is available."
    work(jobs)
    assert str(last.handle.why_waiting()) == (
        f"It waits for job {bad.id} (load), which is dead: ValueError: -1. Retry that one to go on."
    )


def test_on_dead_cancels_what_follows(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.workflow("order", on_dead="cancel") as flow:
        bad = flow.add(desk.load.bind(-1))
        second = flow.add(desk.tell.bind("b"), after=[bad])
        third = flow.add(desk.tell.bind("c"), after=[second], on_dead="wait")
    work(jobs)
    states = [one.handle.refresh().state for one in (bad, second, third)]
    assert states == [JobState.DEAD, JobState.CANCELLED, JobState.WAITING]


def test_a_circle_is_refused_by_name(jobs: Longshore) -> None:
    desk = Desk(jobs)

    def circle() -> None:
        with jobs.workflow("order") as flow:
            first = flow.add(desk.load.bind(1))
            second = flow.add(desk.tell.bind("b"), after=[first])
            first.after(second)

    with pytest.raises(CyclicWorkflow, match=r"load \(.*\) waits for tell \(.*\) waits for load"):
        circle()
    assert jobs.query.count() == 0


def test_an_output_is_nothing_but_an_argument(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.workflow("o") as flow:
        output = flow.add(desk.load.bind(1)).output
    with pytest.raises(AttributeError, match="as an argument as it is"):
        output.bit_length()
    with pytest.raises(EnqueueError, match=r"flow\.add"):
        desk.add.enqueue(output)
    with pytest.raises(ArgsMismatch, match="not of"), jobs.workflow("other") as other:
        other.add(desk.add.bind(output))
    with pytest.raises(ArgsMismatch, match="no job of"), jobs.workflow("other") as other:
        other.add(desk.tell.bind("x"), after=[flow.add])  # type: ignore[list-item]


def test_keys_are_not_made_of_outputs(jobs: Longshore) -> None:
    desk = Desk(jobs)

    @jobs.job(kind="unique", identity=["user"])
    def unique(user: int, other: int = 0) -> None: ...

    with jobs.workflow("o") as flow:
        first = flow.add(desk.load.bind(1))
        flow.add(unique.bind(1, other=first.output))
        with pytest.raises(InvalidOption, match="output of another job"):
            flow.add(unique.bind(first.output))
    with pytest.raises(InvalidOption, match="exactly once"):
        jobs.batch("b", on_success=desk.tell.using(unique=Unique()).bind("x"))
    with pytest.raises(InvalidOption, match="an id of its own"):
        jobs.batch("b", on_success=desk.tell.using(id=new_id()).bind("x"))
    with pytest.raises(InvalidOption, match="on_dead"):
        jobs.workflow("w", on_dead="die")  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match="no name"):
        jobs.batch("")


def test_outside_of_a_batch_there_is_none(jobs: Longshore) -> None:
    seen: list[Any] = []

    @jobs.job(kind="alone")
    def alone(ctx: JobContext = CONTEXT) -> None:
        seen.append(ctx.batch)

    alone.enqueue()
    work(jobs)
    assert seen == [None]
    assert CONTEXT.batch is None
    with pytest.raises(NotInAJob):
        current()


def test_a_batch_joins_the_callers_transaction(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    app = Longshore(f"sqlite:///{path}")
    app.migrate()
    desk = Desk(app)
    for commit in (False, True):
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("begin immediate")
        with app.transaction(connection), app.batch("import", **desk.callbacks()) as batch:
            batch.add(desk.load.bind(1))
        connection.execute("commit" if commit else "rollback")
        connection.close()
        assert app.query.count() == int(commit)
    work(app)
    assert batch.refresh().succeeded == 1
    assert sorted(desk.done, key=str) == [1, "complete", "success"]
    app.close()
