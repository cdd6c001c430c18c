"""Unique jobs, identity, and jobs that run at most once, through the public API."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import (
    CONTEXT,
    ArgsMismatch,
    Event,
    InvalidOption,
    Job,
    JobContext,
    JobState,
    Longshore,
    Unique,
    UniqueHeld,
)
from longshore.core.model import Why
from longshore.core.store import Rescue
from longshore.worker.journal import tell_dead
from tests.limits_tools import Hand
from tests.unique_tools import one_holder
from tests.worker_tools import eventually


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    app = Longshore(url)
    yield app
    app.close()


def declare(jobs: Longshore, **options: Any) -> Any:
    @jobs.job(kind="validate", **options)
    def validate(user_id: int, card: str = "x") -> str:
        return f"{user_id}{card}"

    return validate


def work(jobs: Longshore) -> None:
    jobs.worker(threads=2).run(until_empty=True)


@pytest.fixture
def enqueued(jobs: Longshore) -> list[str | None]:
    """The ids of which an enqueue was told."""
    told: list[str | None] = []

    @jobs.on("job.enqueued")
    def tell(event: Event) -> None:
        told.append(event.job_id)

    return told


# --- conflicts ----------------------------------------------------------------------------------


def test_the_holder_is_the_answer(jobs: Longshore, enqueued: list[str]) -> None:
    validate = declare(jobs, unique=Unique())
    first = validate.enqueue(7)
    again = validate.using(queue="other").enqueue(7)
    assert (again.id, again.is_duplicate, first.is_duplicate) == (first.id, True, False)
    assert again.refresh().record.queue == "default"
    other = validate.enqueue(8)
    assert not other.is_duplicate
    assert enqueued == [first.id, other.id]
    assert jobs.query.count() == 2
    work(jobs)
    assert again.result(timeout=5) == "7x"
    assert not validate.enqueue(7).is_duplicate


def test_it_is_so_awaiting_too(jobs: Longshore) -> None:
    validate = declare(jobs, unique=Unique(on_conflict="raise"))

    async def enqueue() -> None:
        first = await validate.aenqueue(7)
        with pytest.raises(UniqueHeld) as raised:
            await validate.aenqueue(7)
        assert raised.value.holder == first.id

    asyncio.run(enqueue())


def test_a_conflict_may_raise_and_writes_nothing(jobs: Longshore, enqueued: list[str]) -> None:
    validate = declare(jobs, unique=Unique(on_conflict="raise"))
    first = validate.enqueue(7)
    with pytest.raises(UniqueHeld, match=rf"{first.id} holds the unique key.*validate") as raised:
        validate.enqueue(7)
    assert raised.value.holder == first.id
    with pytest.raises(UniqueHeld) as raised:
        jobs.enqueue_many([validate.bind(8), validate.bind(7), validate.bind(9)])
    assert raised.value.holder == first.id
    assert jobs.query.count() == 1
    assert enqueued == [first.id]


def test_two_of_one_call_that_want_one_key_are_told_apart(jobs: Longshore) -> None:
    validate = declare(jobs, unique=Unique(on_conflict="raise"))
    with pytest.raises(UniqueHeld, match="two jobs validate of this call") as raised:
        jobs.enqueue_many([validate.bind(8), validate.bind(8)])
    assert raised.value.holder is None
    assert jobs.query.count() == 0


def test_a_workflow_is_not_advised_to_take_another_job(jobs: Longshore) -> None:
    validate = declare(jobs, unique=Unique())
    first = validate.enqueue(7)
    with pytest.raises(UniqueHeld, match="a workflow takes no other job") as raised:
        jobs.chain(validate.bind(7)).enqueue()
    assert raised.value.holder == first.id


def test_replace_changes_the_arguments_and_time_of_what_does_not_run(
    jobs: Longshore, enqueued: list[str]
) -> None:
    validate = declare(jobs, identity="user_id", unique=Unique(on_conflict="replace"))
    first = validate.using(delay="1h", queue="slow").enqueue(7)
    again = validate.enqueue(7, card="y")
    assert (again.id, again.is_duplicate) == (first.id, True)
    record = first.refresh().record
    assert (record.state, record.queue) == (JobState.AVAILABLE, "slow")
    assert b'"y"' in record.payload
    assert enqueued == [first.id]
    (taken,) = Hand(jobs).claim()
    late = validate.enqueue(7, card="z")
    assert (late.id, late.is_duplicate) == (first.id, True)
    assert b'"y"' in late.refresh().record.payload
    assert taken.id == first.id


def test_a_debounce_runs_once_with_what_came_last(jobs: Longshore) -> None:
    seen: list[str] = []

    @jobs.job(kind="index", identity="page", unique=Unique(on_conflict="replace", until="started"))
    def index(page: int, text: str) -> None:
        seen.append(text)

    for text in "abc":
        index.using(delay="100ms").enqueue(1, text)
    with jobs.worker(threads=1).running():
        eventually(lambda: bool(seen))
    work(jobs)
    assert seen == ["c"]


def test_until_started_frees_the_key_at_the_first_claim(jobs: Longshore) -> None:
    validate = declare(jobs, unique=Unique(until="started"))
    first = validate.enqueue(7)
    assert validate.enqueue(7).is_duplicate
    hand = Hand(jobs)
    hand.claim()
    second = validate.enqueue(7)
    assert not second.is_duplicate
    assert second.id != first.id


def test_until_finished_holds_it_while_the_job_runs_and_is_tried_again(jobs: Longshore) -> None:
    validate = declare(jobs, unique=Unique())
    first = validate.enqueue(7)
    hand = Hand(jobs)
    (job,) = hand.claim()
    assert validate.enqueue(7).id == first.id
    hand.die(job)
    assert validate.enqueue(7).id == first.id
    assert first.cancel()
    assert not validate.enqueue(7).is_duplicate


def test_a_ttl_ends_the_hold(jobs: Longshore) -> None:
    validate = declare(jobs, unique=Unique(ttl="50ms"))
    first = validate.enqueue(7)
    assert validate.enqueue(7).is_duplicate
    eventually(lambda: not validate.enqueue(7).is_duplicate)
    assert first.refresh().state is JobState.AVAILABLE


def test_many_at_once(jobs: Longshore, enqueued: list[str]) -> None:
    """The first of a request holds the key; the others are answered by it."""
    validate = declare(jobs, unique=Unique())
    handles = jobs.enqueue_many(validate.bind(n % 3) for n in range(9))
    assert [handle.is_duplicate for handle in handles] == [False] * 3 + [True] * 6
    assert [handle.id for handle in handles] == [handle.id for handle in handles[:3]] * 3
    assert enqueued == [handle.id for handle in handles[:3]]
    assert jobs.query.count() == 3


def test_pushed_jobs_are_unique_too(jobs: Longshore) -> None:
    validate = declare(jobs, unique=Unique())
    first = validate.enqueue(7)
    assert jobs.push({"kind": "validate", "args": [7]}).id == first.id
    assert jobs.push({"kind": "validate", "kwargs": {"user_id": 7, "card": "x"}}).id == first.id
    assert not jobs.push({"kind": "validate", "args": [7], "unique": None}).is_duplicate


def test_one_live_holder_under_concurrent_enqueues(jobs: Longshore) -> None:
    one_holder(jobs, declare(jobs, unique=Unique()), rounds=20)


# --- retrying what has ended ----------------------------------------------------------------------


@pytest.mark.parametrize("identity", [None, "user_id"])
def test_a_retry_needs_the_key(jobs: Longshore, identity: str | None) -> None:
    validate = declare(jobs, unique=Unique(), identity=identity)
    ended = validate.enqueue(7)
    assert ended.cancel()
    holder = validate.enqueue(7)
    with pytest.raises(UniqueHeld, match=rf"{ended.id} was not retried: job {holder.id}") as raised:
        ended.retry()
    assert raised.value.holder == holder.id
    assert ended.refresh().state is JobState.CANCELLED
    with pytest.raises(UniqueHeld):
        asyncio.run(ended.aretry())
    changes = jobs.query.filter(state="cancelled").retry()
    assert (changes.changed, changes.held, changes.skipped) == (0, 1, 0)
    assert holder.cancel()
    assert ended.retry()
    assert validate.enqueue(7).id == ended.id


# --- identity -----------------------------------------------------------------------------------


def test_jobs_are_found_by_their_identity(jobs: Longshore) -> None:
    validate = declare(jobs, identity="user_id")
    assert validate.find(user_id=7) is None
    old, new = validate.enqueue(7), validate.enqueue(7, card="y")
    validate.enqueue(8)
    found = validate.find(user_id=7)
    assert found is not None
    assert (found.id, found.state) == (new.id, JobState.AVAILABLE)
    assert new.cancel()
    assert validate.find(user_id=7).id == new.id
    assert validate.in_progress(user_id=7).id == old.id
    assert old.cancel()
    assert validate.in_progress(user_id=7) is None
    assert validate.find(user_id=7).state is JobState.CANCELLED

    async def look() -> tuple[Any, Any]:
        return await validate.afind(user_id=7), await validate.ain_progress(user_id=8)

    newest, live = asyncio.run(look())
    assert newest.id == new.id
    assert live is not None


def test_the_class_form_is_found_too(jobs: Longshore) -> None:
    class Validate(Job, app=jobs):
        kind = "validate"
        identity = ("user_id", "card")

        def perform(self, user_id: int, card: str = "x") -> None: ...

    handle = Validate.enqueue(7)
    assert Validate.find(user_id=7) == handle
    assert Validate.in_progress(user_id=7, card="x") == handle
    assert Validate.find(user_id=7, card="y") is None


def test_an_identity_may_be_a_function(jobs: Longshore) -> None:
    @jobs.job(kind="tenant", identity=lambda user_id, region: f"{region}{user_id % 10}")
    def tenant(user_id: int, region: str = "eu", note: str = "") -> None: ...

    handle = tenant.enqueue(17, note="a")
    assert tenant.find(user_id=7) == handle
    assert tenant.find(user_id=7, region="us") is None
    with pytest.raises(ArgsMismatch, match=r"'note'.*identified by user_id, region"):
        tenant.find(user_id=7, note="a")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, r"user_id of its identity is not given"),
        ({"usr_id": 7}, r"'usr_id'.*mean user_id\?.*identified by user_id"),
        ({"user_id": "7"}, r"user_id.*expected"),
        ({"user_id": 7, "card": "x"}, r"not identified by 'card'"),
    ],
)
def test_other_arguments_than_the_identity_are_refused(
    jobs: Longshore, given: dict[str, Any], told: str
) -> None:
    validate = declare(jobs, identity="user_id")
    with pytest.raises(ArgsMismatch, match=told):
        validate.find(**given)


def test_a_job_without_identity_cannot_be_looked_for(jobs: Longshore) -> None:
    validate = declare(jobs, unique=Unique())
    with pytest.raises(InvalidOption, match=r"no identity.*identity=\"user_id\""):
        validate.find(user_id=7)
    with pytest.raises(InvalidOption, match=r"no identity"):
        asyncio.run(validate.ain_progress(user_id=7))


# --- at most once -------------------------------------------------------------------------------


@pytest.fixture
def dead(jobs: Longshore) -> list[tuple[str | None, str | None]]:
    """Ids and reasons of jobs of whose death this process was told."""
    told: list[tuple[str | None, str | None]] = []

    @jobs.on("job.dead")
    def tell(event: Event) -> None:
        told.append((event.job_id, event.reason))

    return told


def test_what_its_worker_stops_does_not_run_again(
    jobs: Longshore, dead: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    running, ran = threading.Event(), list[str]()

    @jobs.job(kind="charge")
    def charge(name: str, ctx: JobContext = CONTEXT) -> None:
        ran.append(name)
        if len(ran) == 2:
            running.set()
        for _ in range(2000):
            threading.Event().wait(0.005)
            ctx.checkpoint()

    once = charge.using(at_most_once=True).enqueue("once")
    often = charge.enqueue("often")
    with jobs.worker(threads=2, shutdown_timeout="200ms").running():
        assert running.wait(10)
    assert (once.refresh().state, once.record.reason) == (JobState.DEAD, "interrupted")
    assert [run.why for run in once.runs] == [Why.INTERRUPTED]
    assert once.record.interruptions == 1
    assert often.refresh().state is JobState.AVAILABLE
    assert [run.why for run in often.runs] == [Why.RELEASED]
    assert dead == [(once.id, "interrupted")]
    assert f"charge {once.id} attempt 1 interrupted, dead: it runs at most once" in caplog.text


def test_what_was_not_started_runs_all_the_same(jobs: Longshore) -> None:
    ran: list[int] = []

    @jobs.job(kind="charge", at_most_once=True)
    def charge(n: int) -> None:
        ran.append(n)

    handle = charge.enqueue(1)
    hand = Hand(jobs)
    assert [job.id for job in hand.claim()] == [handle.id]
    hand.die()
    work(jobs)
    assert handle.refresh().state is JobState.SUCCEEDED
    assert ran == [1]


def test_a_crash_under_it_is_told_by_who_rescues(
    jobs: Longshore, dead: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    @jobs.job(kind="charge", at_most_once=True)
    def charge(n: int) -> None: ...

    handle, other = charge.enqueue(1), charge.using(at_most_once=False).enqueue(2)
    hand = Hand(jobs)
    begun = frozenset((job.id, job.run) for job in hand.claim())
    rescued = jobs.store.run(jobs.store.rescue(Rescue("hand", begun)))
    with caplog.at_level(logging.ERROR):
        tell_dead(jobs.store, rescued, jobs.around.publish)
    assert dead == [(handle.id, "interrupted")]
    assert f"charge {handle.id} is dead: its process died" in caplog.text
    assert other.refresh().state is JobState.AVAILABLE
