"""The running job as its own body sees it, and what is there when none runs."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from longshore import (
    CONTEXT,
    Cancelled,
    Interrupted,
    InvalidOption,
    JobContext,
    NotInAJob,
    Progress,
    current,
)
from longshore.context import reset_current, set_current
from longshore.core.model import Lease
from longshore.running import RunState
from tests.store_tools import claimed

CLAIMED = claimed(
    run=7,
    queue="mail",
    payload=b'{"v":1,"args":[],"kwargs":{"number":3}}',
    failures=2,
    created_at=1_500_000,
    tags=("a",),
    meta=b'{"tenant":7}',
)
LEASE = Lease("id-1", "process-1", 7)


@pytest.fixture
def said() -> list[Progress]:
    return []


@pytest.fixture
def run(said: list[Progress]) -> RunState:
    return RunState(CLAIMED, LEASE, 1, lambda _lease, progress: said.append(progress))


def test_it_knows_its_job(run: RunState) -> None:
    ctx = JobContext(run)
    assert (ctx.id, ctx.kind, ctx.queue, ctx.tags) == ("id-1", "app.work", "mail", ("a",))
    assert (ctx.attempt, ctx.run, ctx.failures) == (3, 7, 2)
    assert ctx.args["kwargs"] == {"number": 3}
    assert ctx.meta == {"tenant": 7}
    assert ctx.created_at == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)


def test_a_detached_context_answers_and_does_nothing() -> None:
    ctx = CONTEXT
    assert (ctx.id, ctx.kind, ctx.queue, ctx.tags) == (None, "", "", ())
    assert (ctx.attempt, ctx.run, ctx.failures, ctx.created_at) == (1, 0, 0, None)
    assert (dict(ctx.args), dict(ctx.meta)) == ({}, {})
    assert (ctx.cancelled, ctx.stopping, ctx.lost) == (False, False, False)
    ctx.progress(1)
    ctx.checkpoint()


def test_progress_is_reported_with_a_cut_message(run: RunState, said: list[Progress]) -> None:
    ctx = JobContext(run)
    ctx.progress(31, 50, "x" * 2000)
    ctx.progress(0.5)
    assert said == [Progress(31, 50, "x" * 1000), Progress(0.5)]


@pytest.mark.parametrize("ctx", ["running", "detached"])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "half", None, 10**400, 1j])
def test_progress_that_is_no_number_is_refused(
    run: RunState, said: list[Progress], ctx: str, wrong: Any
) -> None:
    here = JobContext(run) if ctx == "running" else CONTEXT
    with pytest.raises(InvalidOption, match="done="):
        here.progress(wrong)
    if wrong is not None:
        with pytest.raises(InvalidOption, match="total="):
            here.progress(1, wrong)
    assert not said


def test_checkpoint_raises_what_was_asked_for(run: RunState) -> None:
    ctx = JobContext(run)
    ctx.checkpoint()
    run.stopping = True
    assert ctx.stopping
    with pytest.raises(Interrupted, match=r"id-1.*goes back"):
        ctx.checkpoint()
    run.cancelled = True
    assert ctx.cancelled
    with pytest.raises(Cancelled, match=r"id-1.*cancelled"):
        ctx.checkpoint()
    run.lost = True
    assert ctx.lost


def test_current_is_the_context_of_this_body_alone(run: RunState) -> None:
    with pytest.raises(NotInAJob, match="inside a job"):
        current()
    token = set_current(run)
    try:
        assert (current().id, current().run) == ("id-1", 7)
        elsewhere: list[object] = []

        def look() -> None:
            try:
                elsewhere.append(current())
            except NotInAJob as error:
                elsewhere.append(error)

        thread = threading.Thread(target=look)
        thread.start()
        thread.join(10)
        assert isinstance(elsewhere[0], NotInAJob)
    finally:
        reset_current(token)
    with pytest.raises(NotInAJob):
        current()
