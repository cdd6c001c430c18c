"""What a batch tells of itself: events of a cancel, how it refuses, what it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from longshore import Event, Longshore, Unique, UniqueHeld, current
from longshore.ids import new_id
from tests.test_batches import Desk, work

STRICT = Unique(on_conflict="raise")
WORKFLOW = "a workflow takes no other job in its place"
ADVICE = r'or declare Unique\(on_conflict="return"\)'


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


@pytest.mark.parametrize("way", ["cancel", "acancel"])
def test_a_cancel_tells_of_each_job_that_did_not_run(jobs: Longshore, way: str) -> None:
    told: list[Event] = []
    jobs.on("job.cancelled")(told.append)
    desk = Desk(jobs)
    with jobs.batch("import") as batch:
        handles = [batch.add(desk.load.bind(part)) for part in range(3)]
    handles[0].cancel("first")
    count = batch.cancel("why") if way == "cancel" else asyncio.run(batch.acancel("why"))
    assert count == 2
    assert [(one.job_id, one.reason) for one in told] == [
        (handles[0].id, "first"),
        (handles[1].id, "why"),
        (handles[2].id, "why"),
    ]


def test_a_batch_does_not_refuse_as_a_workflow_does(jobs: Longshore) -> None:
    load = Desk(jobs).load.using(unique=STRICT)
    first = load.enqueue(1)
    with pytest.raises(UniqueHeld, match=ADVICE) as raised, jobs.batch("import") as batch:
        batch.add(load.bind(1))
    assert raised.value.holder == first.id
    with jobs.batch("import") as batch:
        batch.add(load.bind(2))
    with pytest.raises(UniqueHeld, match=ADVICE):
        batch.add(load.bind(1))

    async def awaiting() -> None:
        with pytest.raises(UniqueHeld, match=ADVICE):
            await batch.aadd(load.bind(1))
        with pytest.raises(UniqueHeld, match=ADVICE):
            async with jobs.batch("import") as other:
                other.add(load.bind(1))

    asyncio.run(awaiting())


def test_a_member_that_adds_to_its_batch_is_refused_likewise(jobs: Longshore) -> None:
    said: list[str] = []

    @jobs.job(kind="one", unique=STRICT)
    def one(number: int) -> None: ...

    @jobs.job(kind="adds")
    def adds() -> None:
        batch = current().batch
        assert batch is not None
        try:
            batch.add(one.bind(1))
        except UniqueHeld as error:
            said.append(str(error))

    one.using(delay="1h").enqueue(1)
    with jobs.batch("import") as batch:
        batch.add(adds.bind())
    work(jobs)
    (text,) = said
    assert WORKFLOW not in text


def test_a_workflow_takes_no_other_job_whatever_was_declared(jobs: Longshore) -> None:
    @jobs.job(kind="strict", unique=STRICT)
    def strict(number: int) -> None: ...

    @jobs.job(kind="mild", unique=Unique())
    def mild(number: int) -> None: ...

    strict.enqueue(1)
    mild.enqueue(1)
    for node in (strict, mild):
        with pytest.raises(UniqueHeld, match=WORKFLOW), jobs.workflow("flow") as flow:
            _ = [flow.add(node.bind(number)) for number in (1, 2)]
    with pytest.raises(UniqueHeld, match=WORKFLOW):
        jobs.chain(mild.bind(1)).enqueue()


def test_what_another_job_stands_for_is_not_counted(jobs: Longshore) -> None:
    load = Desk(jobs).load.using(unique=Unique())
    load.enqueue(1)
    with jobs.batch("outer") as outer:
        outer.add(load.bind(2))
        with outer.batch("inner") as inner:
            inner.add(load.bind(1))
            inner.add(load.bind(3))
            with inner.batch("innermost") as innermost:
                innermost.add(load.bind(3))
        inner.add(load.bind(2))
    for batch, count in ((outer, 2), (inner, 1), (innermost, 0)):
        assert (batch.total, batch.pending) == (count, count)
        batch.refresh()
        assert (batch.total, batch.pending) == (count, count)


def test_one_id_twice_counts_once(jobs: Longshore) -> None:
    load = Desk(jobs).load.using(id=new_id())
    with jobs.batch("import") as batch:
        batch.add(load.bind(1))
        batch.add(load.bind(1))
    assert batch.total == 1


def test_the_same_is_not_counted_when_it_is_awaited(jobs: Longshore) -> None:
    load = Desk(jobs).load.using(unique=Unique())

    async def awaiting() -> None:
        await load.aenqueue(1)
        async with jobs.batch("import") as batch:
            batch.add(load.bind(1))
            batch.add(load.bind(2))
        assert (batch.total, batch.pending) == (1, 1)

    asyncio.run(awaiting())
