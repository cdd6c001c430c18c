"""Encrypted jobs from enqueue to result: every way in, what is repeated, and what moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import (
    CONTEXT,
    EnqueueError,
    IdConflict,
    Job,
    JobContext,
    JobState,
    Longshore,
    Retry,
    Unique,
)
from longshore.core.sealing import is_box
from longshore.core.shards import shard_of
from longshore.ids import new_id
from tests.encryption_tools import MARKER, NEW, OLD, application
from tests.harbour_tools import Harbour, eventually


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    app = application("memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db")
    yield app
    app.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db?synchronous=normal"


def work(jobs: Longshore) -> None:
    jobs.worker(threads=2).run(until_empty=True)


def stored(jobs: Longshore, handle: Any) -> str:
    """Everything that the store says of a job, but for its logs."""
    record = handle.refresh().record
    steps = jobs.store.run(jobs.store.steps([handle.id])).get(handle.id, ())
    return f"{record!r} {steps!r}"


# --- from end to end ----------------------------------------------------------------------------


def test_arguments_results_steps_and_cursors_are_encrypted(jobs: Any) -> None:
    handle = jobs.vault.enqueue("ada", MARKER)
    work(jobs)
    assert handle.result(timeout=5) == f"ada {MARKER}"
    assert jobs.get(handle.id).result(timeout=5) == f"ada {MARKER}"
    text = stored(jobs, handle)
    assert MARKER not in text
    assert "ada" not in text
    assert text.count('"kid":"k1"') == 4


def test_a_step_and_a_loop_go_on_where_they_were(jobs: Any) -> None:
    ran: list[str] = []

    @jobs.job(kind="again", encrypt=True, max_attempts=5)
    def again(secret: str, ctx: JobContext = CONTEXT) -> list[str]:
        value = ctx.step("one", lambda: ran.append("step") or f"value of {secret}")
        rows = ctx.iterate("rows", lambda at: [(n, n) for n in range(at, 5)], start=0)
        for row in rows:
            ran.append(f"row {row}")
            if row == 2 and ctx.attempt == 1:
                ctx.checkpoint()
                raise Retry(in_=0)
        return [value, ctx.args["kwargs"]["secret"]]

    handle = again.enqueue(MARKER)
    work(jobs)
    assert handle.result(timeout=5) == [f"value of {MARKER}", MARKER]
    assert ran.count("step") == 1
    assert ran.count("row 0") == 1  # the position was saved, and was read by the second run
    assert MARKER not in stored(jobs, handle)


def rows_after(at: str) -> list[tuple[str, int]]:
    """Rows whose cursors tell what is in them."""
    return [(f"{MARKER} {n}", n) for n in range(int(at.rpartition(" ")[2]), 5)]


def test_the_position_that_a_failed_run_leaves_is_encrypted(jobs: Any) -> None:
    ran: list[int] = []

    @jobs.job(kind="leaves", encrypt=True, max_attempts=2, backoff=0)
    def leaves(ctx: JobContext = CONTEXT) -> None:
        for row in ctx.iterate("rows", rows_after, start="0"):
            ran.append(row)
            if len(ran) == 3:
                raise OSError

    handle = leaves.using(max_attempts=1).enqueue()
    work(jobs)
    assert handle.refresh().state is JobState.DEAD
    assert '"kid":"k1"' in stored(jobs, handle)
    assert MARKER not in stored(jobs, handle)
    handle.retry()
    work(jobs)
    assert handle.refresh().state is JobState.SUCCEEDED
    assert ran == [0, 1, 2, 1, 2, 3, 4]


def test_coroutines_save_and_read_steps_encrypted(jobs: Any) -> None:
    ran: list[str] = []

    @jobs.job(kind="awaits", encrypt=True)
    async def awaits(secret: str, ctx: JobContext = CONTEXT) -> str:
        async def step() -> str:
            ran.append("step")
            return f"value of {secret}"

        value = await ctx.astep("one", step)
        ran.extend([f"row {row}" async for row in ctx.iterate("rows", rows_after, start="0")])
        if ctx.attempt == 1:
            raise Retry(in_=0)
        return value

    handle = awaits.enqueue(MARKER)
    work(jobs)
    assert handle.result(timeout=5) == f"value of {MARKER}"
    assert (ran.count("step"), ran.count("row 4")) == (1, 1)
    text = stored(jobs, handle)
    assert (MARKER in text, text.count('"kid":"k1"')) == (False, 4)


def test_every_way_to_declare_and_to_enqueue(jobs: Any) -> None:
    class Vault(Job, app=jobs):
        kind = "class"
        encrypt = True

        async def perform(self, secret: str) -> str:
            return secret

    @jobs.job(kind="plain")
    def plain(secret: str) -> str:
        return secret

    handles = [
        Vault.enqueue(MARKER),
        plain.using(encrypt=True).enqueue(MARKER),
        *jobs.enqueue_many([plain.using(encrypt=True).bind(MARKER), Vault.bind(MARKER)]),
        jobs.push({"kind": "class", "kwargs": {"secret": MARKER}}),
        jobs.push({"kind": "plain", "args": [MARKER], "encrypt": True}),
    ]
    open_ones = [plain.enqueue(MARKER), Vault.using(encrypt=False).enqueue(MARKER)]
    assert all(MARKER not in stored(jobs, one) for one in handles)
    assert all(MARKER in stored(jobs, one) for one in open_ones)
    work(jobs)
    assert {one.result(timeout=5) for one in handles + open_ones} == {MARKER}
    assert all(MARKER not in stored(jobs, one) for one in handles)


def test_nothing_and_none_are_encrypted_too(jobs: Any) -> None:
    @jobs.job(kind="nothing", encrypt=True)
    def nothing(here: bool = True) -> None:
        assert here

    handle = nothing.enqueue()
    work(jobs)
    assert handle.result(timeout=5) is None
    assert is_box(handle.record.payload)
    assert is_box(handle.record.result)


@pytest.mark.slow
def test_workers_in_processes_of_their_own(tmp_path: Path) -> None:
    keys = f"{NEW} {OLD}"
    harbour = Harbour(tmp_path, name="vaulted", LONGSHORE_ENCRYPTION_KEYS=keys)
    try:
        harbour.jobs.migrate()
        harbour.worker("-v")
        app = harbour.app
        handles = [one.enqueue(MARKER) for one in (app.apart, app.thread, app.loop)]
        apart, *others = [one.result(timeout=40) for one in handles]
        assert (apart, others) == ((f"step {MARKER}", MARKER), [MARKER, MARKER])
        assert not [one for one in handles if MARKER in stored(harbour.jobs, one)]
    finally:
        harbour.stop()
    logs = harbour.logs()
    assert "vaulted" in logs
    assert not [text for text in (MARKER, *keys.replace(":", " ").split()[1::2]) if text in logs]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "said"), [("", "there is no key"), ("k1:c2hvcnQ=", "has 5 bytes, and must have 32")]
)
def test_a_worker_without_a_good_key_ends_with_5(tmp_path: Path, keys: str, said: str) -> None:
    harbour = Harbour(tmp_path, name="vaulted", LONGSHORE_ENCRYPTION_KEYS=OLD)
    try:
        harbour.env["LONGSHORE_ENCRYPTION_KEYS"] = keys
        assert harbour.worker().wait(timeout=40) == 5
        assert said in harbour.logs()
        assert "c2hvcnQ" not in harbour.logs()
    finally:
        harbour.stop()


def test_an_embedded_worker_and_its_middleware_see_the_call(jobs: Any) -> None:
    seen: list[bytes] = []

    @jobs.middleware
    def look(job: Any) -> Iterator[None]:
        seen.append(job.payload)
        yield

    with jobs.worker(threads=1).running():
        handle = jobs.vault.enqueue("ada", MARKER)
        assert handle.result(timeout=10) == f"ada {MARKER}"
    assert [MARKER.encode() in one for one in seen] == [True]


def test_a_transaction_of_a_job_encrypts_its_result(url: str) -> None:
    jobs: Any = application(url)

    @jobs.job(kind="both", encrypt=True)
    def both(secret: str, ctx: JobContext = CONTEXT) -> str:
        with ctx.transaction():
            ctx.succeed(secret)
        return "dropped"

    handle = both.enqueue(MARKER)
    work(jobs)
    assert MARKER not in stored(jobs, handle)
    assert handle.result(timeout=5) == MARKER
    assert is_box(handle.record.result)
    jobs.close()


# --- what is repeated, and what moves -----------------------------------------------------------


def test_a_repeated_request_is_the_same_job(jobs: Any) -> None:
    mine = new_id()
    first = jobs.vault.using(id=mine).enqueue("ada", MARKER)
    again = jobs.vault.using(id=mine).enqueue("ada", MARKER)
    assert (again.id, again.is_duplicate, first.is_duplicate) == (mine, True, False)
    with pytest.raises(IdConflict):
        jobs.vault.using(id=mine).enqueue("ada", "another")


@pytest.mark.parametrize("conflict", ["return", "replace"])
def test_unique_jobs(jobs: Any, conflict: Any) -> None:
    unique = jobs.vault.using(unique=Unique(on_conflict=conflict), delay="1h")
    first = unique.enqueue("ada", "first")
    second = unique.enqueue("ada", MARKER)
    assert (second.id, second.is_duplicate) == (first.id, True)
    first.retry()  # now
    work(jobs)
    wanted = {"return": "ada first", "replace": f"ada {MARKER}"}[conflict]
    assert first.result(timeout=5) == wanted
    assert MARKER not in stored(jobs, first)


def test_a_dead_job_is_retried(jobs: Any) -> None:
    allowed = threading.Event()

    @jobs.job(kind="fails", encrypt=True, max_attempts=1)
    def fails(secret: str) -> str:
        if not allowed.is_set():
            raise OSError
        return secret

    handle = fails.enqueue(MARKER)
    work(jobs)
    assert handle.refresh().state is JobState.DEAD
    allowed.set()
    assert handle.retry()
    work(jobs)
    assert handle.result(timeout=5) == MARKER


def test_schedules_write_the_same_row_each_time_and_run(jobs: Any) -> None:
    jobs.schedule("0 5 * * *", name="nightly", args=("ada", MARKER))(jobs.vault)
    jobs.schedules.add("other", jobs.vault.bind("bob", MARKER), "0 5 * * *")
    assert jobs.planned.schedules() == jobs.planned.schedules()
    assert MARKER not in repr(jobs.schedules.list())
    ran = [jobs.schedules.run_now(name) for name in ("nightly", "nightly", "other")]
    assert b'"ada"' in jobs.schedules.call("nightly")
    payload = jobs.vault.declaration.signature.encode(("eve", MARKER), {}, limit=1000)
    ran.append(jobs.schedules.run_with("nightly", payload))
    work(jobs)
    results = [one.result(timeout=5).split()[0] for one in ran]
    assert results == ["ada", "ada", "bob", "eve"]
    assert not [one for one in ran if MARKER in stored(jobs, one)]


def test_a_tick_makes_a_job_that_can_be_read(jobs: Any) -> None:
    got: list[str] = []

    @jobs.schedule("* * * * * *", args=(MARKER,))
    @jobs.job(kind="tick", encrypt=True)
    def tick(secret: str) -> None:
        got.append(secret)

    with jobs.worker(threads=1).running():
        eventually(lambda: got)
    assert set(got) == {MARKER}


def test_batches_and_their_callbacks(jobs: Any) -> None:
    done: list[str] = []

    @jobs.job(kind="tell", encrypt=True)
    def tell(secret: str) -> None:
        done.append(secret)

    with jobs.batch("import", on_success=tell.bind(MARKER)) as batch:
        members = [batch.add(jobs.vault.bind(f"n{n}", MARKER)) for n in range(3)]
    work(jobs)
    assert done == [MARKER]
    assert MARKER not in repr(jobs.batches.get(batch.id)._read)
    assert {one.result(timeout=5) for one in members} == {f"n{n} {MARKER}" for n in range(3)}


def test_outputs_go_from_job_to_job_of_a_workflow(jobs: Any) -> None:
    @jobs.job(kind="open")
    def from_open(n: int) -> dict[str, int]:
        return {"n": n}

    @jobs.job(kind="join", encrypt=True)
    def join(secret: str, plain: dict[str, int], own: str) -> str:
        return f"{secret}, {plain['n']}, {own}"

    @jobs.job(kind="last", encrypt=True)
    def last(text: str) -> str:
        return text.upper()

    with jobs.workflow("order") as flow:
        first = flow.add(jobs.vault.bind("ada", MARKER))
        other = flow.add(from_open.bind(7))
        both = flow.add(join.bind(first.output, other.output, own="mine"))
        end = flow.add(last.bind(both.output))
    work(jobs)
    assert end.handle.result(timeout=5) == f"ada {MARKER}, 7, mine".upper()
    assert not [one for one in (first, both, end) if MARKER in stored(jobs, one.handle)]
    chained = jobs.chain(jobs.vault.bind("ada", MARKER)).then(last).enqueue()
    work(jobs)
    assert chained.result(timeout=5) == f"ada {MARKER}".upper()


def test_an_encrypted_output_does_not_go_to_a_job_that_is_not(jobs: Any) -> None:
    @jobs.job(kind="last")
    def last(text: str) -> str:
        return text

    with pytest.raises(EnqueueError, match=r"job last takes the output of job vault.*encrypt=True"):
        jobs.chain(jobs.vault.bind("ada", MARKER)).then(last)
    chained = jobs.chain(jobs.vault.bind("ada", MARKER)).then(last.using(encrypt=True)).enqueue()
    work(jobs)
    assert chained.result(timeout=5) == f"ada {MARKER}"


def test_shards_are_decided_by_arguments_before_they_are_encrypted(tmp_path: Path) -> None:
    shards = [f"sqlite:///{tmp_path}/{n}.db" for n in range(3)]
    jobs: Any = Longshore(shards=shards, shard_by="args.tenant", encryption_keys=[OLD])

    @jobs.job(kind="vault", encrypt=True)
    def vault(tenant: str, secret: str) -> str:
        return f"{tenant} {secret}"

    tenants = [f"t{n}" for n in range(9)]
    places = [shard_of(one, 3) for one in tenants]
    assert set(places) == {0, 1, 2}
    handles = [vault.enqueue(one, MARKER) for one in tenants]
    handles += [vault.using(id=new_id()).enqueue(one, MARKER) for one in tenants]
    for one, number in zip(handles, places * 2, strict=True):
        shard = jobs.store.shards[number]
        assert one.id in shard.run(shard.get([one.id]))
    work(jobs)
    assert [one.result(timeout=5) for one in handles] == [f"{t} {MARKER}" for t in tenants * 2]
    jobs.close()


def test_the_outbox_has_only_the_box(tmp_path: Path) -> None:
    import sqlite3

    jobs: Any = application(f"sqlite:///{tmp_path}/jobs.db", outbox=f"sqlite:///{tmp_path}/own.db")
    jobs.migrate()
    connection = sqlite3.connect(tmp_path / "own.db")
    handle = jobs.vault.using(connection=connection).enqueue("ada", MARKER)
    connection.commit()
    text = repr(connection.execute("select * from longshore_outbox").fetchall())
    connection.close()
    assert handle.id in text
    assert MARKER not in text
    with jobs.worker(threads=1).running():
        assert handle.result(timeout=20) == f"ada {MARKER}"
    jobs.close()
