"""Batches, chains and workflows where somebody uses them otherwise than the pages show."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from longshore import Longshore, Unique
from longshore.core.model import JobState
from longshore.errors import (
    ArgsMismatch,
    BatchFinished,
    BatchNotFound,
    EnqueueError,
    InvalidOption,
)
from longshore.ids import new_id
from tests.test_batches import Desk, work


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


def test_a_late_callback_comes_late(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.batch("import", on_complete=desk.tell.using(delay="1h").bind("late")) as batch:
        batch.add(desk.load.bind(1))
    work(jobs)
    (late,) = jobs.query.filter(kind="tell")
    assert late.state is JobState.SCHEDULED
    assert late.record.scheduled_at - late.record.created_at == 3_600_000_000


def test_a_callback_expires_after_its_turn(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.batch("import", on_complete=desk.tell.using(expires="50ms").bind("yes")) as batch:
        batch.add(desk.load.bind(1))
    time.sleep(0.06)
    work(jobs)
    assert desk.done == [1, "yes"]


def test_a_callback_at_a_moment_comes_then(jobs: Longshore) -> None:
    desk = Desk(jobs)
    at = datetime.now(UTC) + timedelta(hours=1)
    told = desk.tell.using(at=at, expires="2h").bind("then")
    with jobs.batch("import", on_complete=told) as batch:
        batch.add(desk.load.bind(1))
    work(jobs)
    (then,) = jobs.query.filter(kind="tell")
    assert then.record.scheduled_at == round(at.timestamp() * 1_000_000)
    assert then.record.expires_at is not None
    assert abs(then.record.expires_at - then.record.created_at - 7_200_000_000) < 1_000_000


def test_the_handle_of_a_refused_member_is_that_of_the_holder(jobs: Longshore) -> None:
    desk = Desk(jobs)
    unique = desk.load.using(unique=Unique())
    with jobs.batch("import") as batch:
        first, second = batch.add(unique.bind(1)), batch.add(unique.bind(1))
        third = batch.add(unique.bind(2))
    assert (second.id, second.is_duplicate) == (first.id, True)
    assert not first.is_duplicate
    assert not third.is_duplicate
    work(jobs)
    assert second.result(timeout=5) == 10
    assert batch.refresh().total == 2


def test_one_id_twice_is_one_member(jobs: Longshore) -> None:
    desk = Desk(jobs)
    load = desk.load.using(id=new_id())
    with jobs.batch("import") as batch:
        first, second = batch.add(load.bind(1)), batch.add(load.bind(1))
    assert (first.is_duplicate, second.is_duplicate) == (False, True)
    assert batch.refresh().total == 1


def test_names_and_keys_are_checked_whatever_else_is_given(jobs: Longshore) -> None:
    for make in (jobs.batch, jobs.workflow):
        with pytest.raises(InvalidOption, match="is no name"):
            make("", shard_key="acme")
        with pytest.raises(InvalidOption, match="is not a key"):
            make("import", shard_key="")


def test_batches_lie_in_so_many_others_and_no_more(jobs: Longshore) -> None:
    with ExitStack() as blocks:
        batch = blocks.enter_context(jobs.batch("0"))
        for depth in range(32):
            batch = blocks.enter_context(batch.batch(str(depth + 1)))
        batch.add(Desk(jobs).load.bind(1))
        with pytest.raises(InvalidOption, match="would lie in 33 others, and 32"):
            batch.batch("33")
    work(jobs)
    assert batch.refresh().finished


def test_a_batch_inside_takes_more_while_the_outer_block_is_open(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.batch("outer") as outer:
        with outer.batch("middle") as middle, middle.batch("inner") as inner:
            inner.add(desk.load.bind(1))
        inner.add(desk.load.bind(2))
        with middle.batch("late") as late:
            late.add(desk.load.bind(3))
        assert (outer.total, middle.total, inner.total) == (3, 3, 2)
        assert jobs.query.count() == 0
    totals = [one.refresh().total for one in (outer, middle, inner, late)]
    assert totals == [3, 3, 2, 1]


def test_a_batch_inside_may_be_filled_after_the_outer_block(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.batch("outer") as outer:
        outer.add(desk.load.bind(1))
        inner = outer.batch("inner")
    with inner:
        inner.add(desk.load.bind(2))
    assert (outer.refresh().total, inner.refresh().total) == (2, 1)


def test_a_batch_whose_block_raised_says_so(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.batch("outer") as outer:
        try:
            with outer.batch("inner") as inner:
                inner.add(desk.load.bind(1))
                {}["nothing"]
        except KeyError:
            outer.add(desk.load.bind(2))
    assert (outer.total, outer.refresh().total, inner.total) == (1, 1, 0)
    with pytest.raises(BatchFinished, match="its block raised"):
        inner.add(desk.load.bind(3))
    with pytest.raises(BatchNotFound):
        inner.refresh()


def test_a_workflow_is_entered_once_also_without_jobs(jobs: Longshore) -> None:
    with jobs.workflow("empty") as flow:
        pass
    with pytest.raises(EnqueueError, match="entered before"):
        flow.__enter__()


def test_edges_are_refused_when_they_come_too_late_or_alone(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.workflow("order") as flow:
        first, second = flow.add(desk.load.bind(1)), flow.add(desk.load.bind(2))
        with pytest.raises(ArgsMismatch, match="Give a list of nodes"):
            flow.add(desk.load.bind(3), after=first)  # type: ignore[arg-type]
    with pytest.raises(EnqueueError, match="inside its `with` block"):
        second.after(first)


def test_an_output_that_can_never_fit_is_refused(jobs: Longshore) -> None:
    desk = Desk(jobs)

    @jobs.job(kind="text")
    def text() -> str:
        return "1"

    @jobs.job(kind="half")
    def half(one: float, /, *more: float, name: str | None = None) -> float:
        return one / 2 + sum(more) + len(name or "")

    @jobs.job(kind="whatever")
    def whatever():  # type: ignore[no-untyped-def]
        return 3

    with jobs.workflow("types") as flow:
        word, number = flow.add(text.bind()), flow.add(desk.load.bind(1))
        said = flow.add(desk.tell.bind(word.output))
        with pytest.raises(ArgsMismatch, match="`part` takes `int`, and job text returns `str`"):
            flow.add(desk.load.bind(word.output))  # type: ignore[arg-type]
        with pytest.raises(ArgsMismatch, match="`one` takes `float`, and job text"):
            flow.add(half.bind(word.output))  # type: ignore[arg-type]
        with pytest.raises(ArgsMismatch, match="`more` takes `float`, and job tell returns `None`"):
            flow.add(half.bind(1, said.output))  # type: ignore[arg-type]
        flow.add(half.bind(number.output, number.output, name=word.output))
        flow.add(half.bind(1, name=said.output))
        flow.add(desk.load.bind(flow.add(whatever.bind()).output))
    work(jobs)
    assert flow.refresh().succeeded == flow.total == 7


def test_a_chain_goes_on_after_a_job_that_did_not_fit(jobs: Longshore) -> None:
    desk = Desk(jobs)

    @jobs.job(kind="alone")
    def alone() -> None: ...

    chain = jobs.chain(desk.load.bind(1))
    wrong: list[Any] = [alone, desk.tell]
    for other in wrong:
        with pytest.raises(ArgsMismatch):
            chain.then(other)
    handle = chain.then(desk.load).enqueue()
    work(jobs)
    assert handle.result(timeout=5) == 100


def test_dead_jobs_of_a_workflow_are_retried_with_those_that_went_with_them(
    jobs: Longshore,
) -> None:
    broken = [True]

    @jobs.job(kind="breaks", max_attempts=1)
    def breaks(number: int) -> int:
        if broken:
            raise ValueError(number)
        return number

    with jobs.workflow("order", on_dead="cancel") as flow:
        first = flow.add(breaks.bind(1))
        last = flow.add(breaks.bind(flow.add(breaks.bind(first.output)).output))
        alone = flow.add(breaks.bind(4))
    alone.handle.cancel("not wanted")
    work(jobs)
    assert (flow.refresh().dead, flow.cancelled) == (1, 3)
    broken.clear()
    assert flow.retry() == 3
    assert (flow.refresh().dead, flow.pending) == (0, 3)
    work(jobs)
    assert last.handle.result(timeout=5) == 1
    assert alone.handle.refresh().state is JobState.CANCELLED
    assert flow.retry() == 0


def test_the_awaiting_twin_of_a_retry() -> None:
    app = Longshore("memory://")
    desk = Desk(app)
    with app.batch("import", on_complete=desk.tell.bind("done")) as batch:
        batch.add(desk.load.bind(-1))
    work(app)
    assert asyncio.run(batch.aretry()) == 1
    app.close()


def test_what_is_looked_for_among_the_wrong_ones_is_named(jobs: Longshore) -> None:
    desk = Desk(jobs)
    with jobs.batch("import") as batch:
        batch.add(desk.load.bind(1))
    chain = jobs.chain(desk.load.bind(2))
    chain.enqueue()
    with pytest.raises(BatchNotFound, match=r"is a batch and no workflow: jobs\.batches\.get"):
        jobs.workflows.get(batch.id)
    with pytest.raises(BatchNotFound, match=r"is a chain and no batch: jobs\.workflows\.get"):
        jobs.batches.get(chain.workflow.id)
