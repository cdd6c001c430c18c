"""``ctx.transaction()``: a job's work and its success in one commit."""

import asyncio
import importlib
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import (
    CONTEXT,
    Discard,
    JobContext,
    JobDead,
    JobHandle,
    Longshore,
    Progress,
    constant,
    current,
)
from longshore.core.model import JobState
from longshore.errors import NotInAJob, ResultUnavailable, TransactionRefused
from tests.places import each
from tests.stores import empty_place
from tests.transaction_tools import Table
from tests.worker_tools import drain_due

KINDS = each("sqlite", "postgres18", "mariadb")


@pytest.fixture(params=KINDS)
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    file = f"sqlite:///{tmp_path}/jobs.db"
    url = file if request.param == "sqlite" else empty_place(request.param).url
    app = Longshore(url)
    app.migrate()
    with Table(url):
        yield app
    app.close()


def sql(connection: Any, text: str) -> None:
    cursor = connection.cursor()
    cursor.execute(text)
    cursor.close()


def worked(jobs: Longshore) -> list[int]:
    return Table.rows(jobs.settings.store.reveal())


def run(jobs: Longshore) -> None:
    jobs.worker(threads=2).run(until_empty=True)


def test_work_and_success_are_committed_together(jobs: Longshore) -> None:
    seen: list[Any] = []

    @jobs.job(kind="inner")
    def inner(number: int) -> int:
        return number

    @jobs.job(kind="outer")
    def outer(number: int) -> int:
        ctx = current()
        with ctx.transaction() as connection:
            sql(connection, f"insert into work values ({number})")
            handle = inner.enqueue(number)
            seen.append((worked(jobs), jobs.get(ctx.id or "").state, jobs.query.count()))
            ctx.succeed(number * 2)
        seen.append((worked(jobs), jobs.get(ctx.id or "").state, jobs.query.count()))
        seen.append(handle.refresh().state)
        return -1

    handle = outer.enqueue(7)
    jobs.worker(threads=1).run(until_empty=True)
    assert seen[0] == ([], JobState.RUNNING, 1)
    assert seen[1] == ([7], JobState.SUCCEEDED, 2)
    assert seen[2] == "available"
    assert handle.result(timeout=5) == 14
    assert jobs.query.filter(state="succeeded").count() == 2


def test_without_succeed_the_result_is_none(jobs: Longshore) -> None:
    @jobs.job(kind="silent")
    def silent(ctx: JobContext = CONTEXT) -> int | None:
        with ctx.transaction():
            pass
        return 5

    handle = silent.enqueue()
    run(jobs)
    assert handle.result(timeout=5) is None


def test_a_result_that_cannot_be_stored_does_not_undo_the_work(jobs: Longshore) -> None:
    @jobs.job(kind="odd")
    def odd(ctx: JobContext = CONTEXT) -> object:
        with ctx.transaction() as connection:
            sql(connection, "insert into work values (1)")
            ctx.succeed(object())
        return None

    handle = odd.enqueue()
    run(jobs)
    assert worked(jobs) == [1]
    with pytest.raises(ResultUnavailable):
        handle.result(timeout=5)


def test_an_exception_inside_is_a_failed_attempt(jobs: Longshore) -> None:
    @jobs.job(kind="broken", max_attempts=1)
    def broken(ctx: JobContext = CONTEXT) -> None:
        with ctx.transaction() as connection:
            sql(connection, "insert into work values (1)")
            jobs.push({"kind": "broken"})
            ctx.succeed(1)
            raise ValueError("no")

    handle = broken.enqueue()
    run(jobs)
    assert worked(jobs) == []
    assert handle.refresh().state == "dead"
    assert handle.error == "ValueError: no"
    assert jobs.query.count() == 1


def test_what_the_body_raised_counts_also_where_nothing_can_be_rolled_back(
    jobs: Longshore,
) -> None:
    @jobs.job(kind="gone", max_attempts=5)
    def gone(ctx: JobContext = CONTEXT) -> None:
        with ctx.transaction() as connection:
            connection.close()
            raise Discard("no more of it")

    handle = gone.enqueue()
    run(jobs)
    record = handle.refresh().record
    assert (record.state, record.reason) == ("cancelled", "no more of it")


def test_an_exception_afterwards_is_kept_and_changes_nothing(jobs: Longshore) -> None:
    @jobs.job(kind="late")
    def late(ctx: JobContext = CONTEXT) -> str:
        with ctx.transaction() as connection:
            sql(connection, "insert into work values (1)")
            ctx.succeed("done")
        raise ValueError("too late")

    handle = late.enqueue()
    run(jobs)
    assert worked(jobs) == [1]
    assert handle.result(timeout=5) == "done"
    assert handle.record.error_after_success == "ValueError: too late"
    assert handle.runs == ()


def test_a_lost_lease_rolls_the_work_back(jobs: Longshore) -> None:
    raised: list[BaseException] = []

    @jobs.job(kind="stale")
    def stale(ctx: JobContext = CONTEXT) -> None:
        try:
            with ctx.transaction() as connection:
                sql(connection, "insert into work values (1)")
                # Its run belongs to somebody else, as far as this transaction can see.
                sql(connection, f"update longshore_job set run = run + 1 where id = '{ctx.id}'")
        except Exception as error:
            raised.append(error)
            raise

    handle = stale.using(max_attempts=1).enqueue()
    run(jobs)
    assert [type(error).__name__ for error in raised] == ["LeaseLost"]
    assert "belongs to another process" in str(raised[0])
    assert worked(jobs) == []
    assert handle.refresh().state == "dead"


def test_it_may_be_entered_once(jobs: Longshore) -> None:
    @jobs.job(kind="twice", max_attempts=1)
    def twice(how: str, ctx: JobContext = CONTEXT) -> None:
        block = ctx.transaction()
        if how == "after a failure":
            with pytest.raises(ValueError, match="first"), block:
                raise ValueError("first")
        elif how == "inside":
            with block, ctx.transaction():
                pass
        else:
            with block:
                pass
        with ctx.transaction():
            pass

    ends = {}
    for how in ("after a failure", "inside", "after"):
        handle = twice.enqueue(how)
        run(jobs)
        handle.refresh()
        ends[how] = (handle.state, handle.error or handle.record.error_after_success)
    assert ends["after a failure"][0] == ends["inside"][0] == "dead"
    assert ends["after"][0] == "succeeded"
    assert all("once" in str(error) for _, error in ends.values())


def test_succeed_belongs_inside(jobs: Longshore) -> None:
    @jobs.job(kind="early", max_attempts=1)
    def early(before: bool, ctx: JobContext = CONTEXT) -> None:
        if before:
            ctx.succeed(1)
        with ctx.transaction():
            pass
        ctx.succeed(1)

    before, after = early.enqueue(True), early.enqueue(False)
    run(jobs)
    assert before.refresh().state == "dead"
    assert "belongs inside" in str(before.error)
    assert after.refresh().state == "succeeded"
    assert "belongs inside" in str(after.record.error_after_success)


def test_coroutine_jobs(jobs: Longshore) -> None:
    blocking = jobs.store.name != "postgres"

    @jobs.job(kind="coroutine")
    async def coroutine(number: int, ctx: JobContext = CONTEXT) -> int | None:
        if blocking:
            with ctx.transaction() as connection:
                sql(connection, f"insert into work values ({number})")
                await coroutine.using(delay="1h").aenqueue(0)
                ctx.succeed(number)
        else:
            async with ctx.transaction() as connection:
                await connection.execute(f"insert into work values ({number})")
                await coroutine.using(delay="1h").aenqueue(0)
                ctx.succeed(number)
        await asyncio.sleep(0)
        return None

    @jobs.job(kind="failing", max_attempts=1)
    async def failing(ctx: JobContext = CONTEXT) -> None:
        async with ctx.transaction():
            raise ValueError("no")

    handles = [coroutine.enqueue(n) for n in range(1, 4)]
    broken = failing.enqueue()
    run(jobs)
    assert [handle.result(timeout=5) for handle in handles] == [1, 2, 3]
    assert worked(jobs) == [1, 2, 3]
    assert jobs.query.filter(state="scheduled").count() == 3
    assert broken.refresh().state == "dead"
    said = str(broken.error)
    assert ("write `with ctx.transaction()`" if blocking else "ValueError: no") in said


def test_what_is_not_kept_is_no_lost_lease(
    jobs: Longshore, caplog: pytest.LogCaptureFixture
) -> None:
    app = Longshore(jobs.settings.store.reveal(), keep_succeeded=0)

    @app.job(kind="forgotten", keep_result=0)
    def forgotten(ctx: JobContext = CONTEXT) -> None:
        with ctx.transaction() as connection:
            sql(connection, "insert into work values (1)")

    forgotten.enqueue()
    run(app)
    assert worked(jobs) == [1]
    assert app.query.count() == 0
    assert "refused" not in caplog.text
    app.close()


BERTH = """
import os, signal, time
from longshore import CONTEXT, JobContext, Longshore

jobs = Longshore(os.environ["BERTH_STORE"])

def sql(connection, text):
    cursor = connection.cursor()
    cursor.execute(text)
    cursor.close()

@jobs.job(kind="apart", isolation="process")
def apart(how: str, ctx: JobContext = CONTEXT) -> str:
    ctx.log.info("before")
    with ctx.transaction() as connection:
        ctx.log.info("inside")
        sql(connection, "insert into work values (1)")
        if how == "killed inside" and not os.path.exists("died"):
            open("died", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        ctx.succeed("done")
    if how == "killed after":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raises after":
        raise ValueError("too late")
    return "dropped"
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["plain", "killed inside", "killed after", "raises after"])
def test_a_job_in_a_process_of_its_own(
    jobs: Longshore, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(__file__).parent.parent / "src"
    (tmp_path / "berth.py").write_text(textwrap.dedent(BERTH))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BERTH_STORE", jobs.settings.store.reveal())
    monkeypatch.setenv("PYTHONPATH", f"{source}{os.pathsep}{tmp_path}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "berth", raising=False)
    berth = importlib.import_module("berth")
    handle: JobHandle[str] = berth.apart.enqueue(how)
    try:
        run(berth.jobs)
    finally:
        berth.jobs.close()
        sys.modules.pop("berth", None)
    record = jobs.get(handle.id)
    assert record.result(timeout=5) == "done"
    assert worked(jobs) == [1]
    assert record.record.interruptions == (how == "killed inside")
    said = [line.message for line in record.logs()]
    assert said == ["before"] * (how == "killed inside") + ["before", "inside"]
    if how == "raises after":
        assert record.record.error_after_success == "ValueError: too late"


def test_what_is_said_around_the_block_is_kept_and_inside_belongs_to_it(jobs: Longshore) -> None:
    @jobs.job(kind="talk", max_attempts=2, backoff=constant("1ms", jitter=0))
    def talk(ctx: JobContext = CONTEXT) -> None:
        part = ctx.step("part", lambda: "done")
        ctx.log.info("before, attempt %d", ctx.attempt)
        with ctx.transaction() as connection:
            sql(connection, f"insert into work values ({ctx.attempt})")
            ctx.progress(1, 2, part)
            ctx.log.info("inside, attempt %d", ctx.attempt)
            if ctx.attempt == 1:
                raise ValueError("not yet")
        ctx.log.info("too late")

    handle = talk.enqueue()
    drain_due(jobs)
    handle.refresh()
    assert (handle.state, worked(jobs)) == (JobState.SUCCEEDED, [2])
    assert handle.progress == Progress(1, 2, "done")
    # The first block was rolled back; that it was there is worth knowing all the same.
    assert [line.message for line in handle.logs()] == [
        "before, attempt 1",
        "inside, attempt 1",
        "before, attempt 2",
        "inside, attempt 2",
    ]


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda ctx: ctx.step("a", int), "inside ctx.transaction"),
        (lambda ctx: list(ctx.iterate("a", enumerate, start=())), "inside ctx.transaction"),
    ],
)
def test_inside_the_block_there_are_no_steps(tmp_path: Path, use: Any, message: str) -> None:
    jobs = Longshore(f"sqlite:///{tmp_path}/jobs.db")

    @jobs.job(kind="step", max_attempts=1)
    def step(ctx: JobContext = CONTEXT) -> None:
        with ctx.transaction():
            use(ctx)

    handle = step.enqueue()
    run(jobs)
    with pytest.raises(JobDead, match=message):
        handle.result(timeout=5)
    jobs.close()


def test_after_the_block_there_are_no_steps_either(tmp_path: Path) -> None:
    jobs = Longshore(f"sqlite:///{tmp_path}/jobs.db")

    @jobs.job(kind="step")
    def step(ctx: JobContext = CONTEXT) -> None:
        with ctx.transaction():
            ctx.succeed()
        ctx.step("late", int)

    handle = step.enqueue()
    run(jobs)
    handle.result(timeout=5)
    error = handle.record.error_after_success or ""
    assert "StepRefused" in error
    assert "has ended with its transaction" in error
    jobs.close()


class TestWithoutOne:
    def test_a_store_without_sql_says_so(self) -> None:
        jobs = Longshore("memory://")

        @jobs.job(kind="none", max_attempts=1)
        def none(ctx: JobContext = CONTEXT) -> None:
            with ctx.transaction():
                pass

        handle = none.enqueue()
        run(jobs)
        handle.refresh()
        assert "TransactionRefused" in str(handle.error)
        assert "memory store is no SQL database" in str(handle.error)
        jobs.close()

    def test_outside_of_a_job_there_is_none(self) -> None:
        with pytest.raises(TransactionRefused, match="no job runs here"):
            CONTEXT.transaction()
        with pytest.raises(TransactionRefused, match="belongs inside"):
            CONTEXT.succeed(1)
        with pytest.raises(NotInAJob):
            current()
