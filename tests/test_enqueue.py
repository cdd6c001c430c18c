"""Every way to enqueue over both stores: one job, many at once, by id, as a plain dictionary.

The rows B1 to B34 of bad input are here (B23, B24) and in three files beside: arguments and options
(``test_enqueue_arguments.py``, ``test_enqueue_options.py``), and what surrounds the call: forks,
loops, signals, the end of things (``test_enqueue_surroundings.py``). B12, B14 and B33 are refused
when a job is declared: ``test_declare.py``; B22, unique keys, too: ``test_restraints.py``. B13, a
kind by name, is there and, for the command line, in its own tests.

Rows that are not tested yet, and why:

====  ==========================================================================================
B25   the part of ``meta``: callers cannot give any yet; its check is in ``test_options.py``
B26   enqueueing in a caller's transaction comes with the issue of the SQL servers
B31   uncertain replies need a store behind a network; the part with a file is here
B32   is about return values: in the tests of codec and worker
B34   batches, chains and workflows come with their own issue
====  ==========================================================================================
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longshore import (
    ArgsMismatch,
    EnqueueError,
    IdConflict,
    JobState,
    Longshore,
)

GIVEN_ID = "0193ab5c-0000-7000-8000-00000000abcd"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    app = Longshore(url)
    yield app
    app.close()


def send(user_id: int, *, locale: str = "en") -> str:
    return f"{user_id}{locale}"


def take(*args: Any, **kwargs: Any) -> None: ...


def payload(jobs: Longshore, job_id: str) -> Any:
    return msgspec.json.decode(jobs.get(job_id).record.payload)


# --- the ways to enqueue ------------------------------------------------------------------------


def test_enqueue_stores_one_job_with_the_declared_options(jobs: Longshore) -> None:
    job = jobs.job(kind="send", queue="mail", priority=3, tags=["a"], timeout=5)(send)
    before = time.time_ns() // 1000
    handle = job.enqueue(42, locale="fr")
    found = jobs.get(handle.id).record
    assert (found.kind, found.queue, found.priority, found.tags) == ("send", "mail", 3, ("a",))
    assert (found.timeout, found.max_attempts, found.state) == (5_000_000, 25, "available")
    assert before <= found.created_at <= time.time_ns() // 1000
    assert found.created_at == found.scheduled_at
    assert found.payload == b'{"v":1,"args":[],"kwargs":{"user_id":42,"locale":"fr"}}'
    assert jobs.query.count() == 1


def test_every_way_gives_the_same_job(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send)

    async def awaiting() -> list[Any]:
        return [
            await job.aenqueue(1),
            await job.bind(1).aenqueue(),
            *await jobs.aenqueue_many([job.bind(1)]),
            await jobs.apush({"kind": "send", "kwargs": {"user_id": 1}}),
        ]

    handles = [
        job.enqueue(1),
        job.bind(1).enqueue(),
        *jobs.enqueue_many([job.bind(1)]),
        jobs.push({"kind": "send", "kwargs": {"user_id": 1}}),
        *asyncio.run(awaiting()),
    ]
    records = [jobs.get(handle.id).record for handle in handles]
    first, *others = (
        msgspec.structs.replace(one, id="", created_at=0, scheduled_at=0) for one in records
    )
    assert all(other == first for other in others)
    assert len({handle.id for handle in handles}) == 8


def test_a_bound_job_may_be_enqueued_again(jobs: Longshore) -> None:
    bound = jobs.job(kind="send")(send).bind(1)
    assert bound.enqueue().id != bound.enqueue().id
    assert jobs.query.count() == 2


def test_delay_and_at_schedule(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send)
    later = job.using(delay="10m").enqueue(1).refresh()
    assert later.state is JobState.SCHEDULED
    assert later.record.scheduled_at - later.record.created_at == 600_000_000
    at = datetime.now(timezone(timedelta(hours=5))) + timedelta(hours=1)
    timed = job.using(at=at).enqueue(1).refresh()
    assert timed.state is JobState.SCHEDULED
    assert timed.record.scheduled_at == round(at.timestamp() * 1_000_000)
    assert job.using(delay=0).enqueue(1).refresh().state is JobState.AVAILABLE
    just_past = datetime.now(UTC) - timedelta(minutes=5)
    assert job.using(at=just_past).enqueue(1).refresh().state is JobState.AVAILABLE


def test_expires_counts_from_the_enqueue(jobs: Longshore) -> None:
    bound = jobs.job(kind="send")(send).using(expires="1h").bind(1)
    record = bound.enqueue().refresh().record
    assert record.expires_at is not None
    assert record.expires_at - record.created_at == 3_600_000_000


def test_push_needs_no_code_of_the_job(jobs: Longshore) -> None:
    handle = jobs.push(
        {
            "kind": "elsewhere.job",
            "args": [42, None, {"a": [1.5]}],
            "kwargs": {"x": "y"},
            "queue": "mail",
            "priority": 5,
            "max_attempts": 3,
            "tags": ["a"],
            "delay": "1h",
            "id": GIVEN_ID,
        }
    ).refresh()
    assert handle.id == GIVEN_ID
    record = handle.record
    assert (record.queue, record.priority, record.max_attempts) == ("mail", 5, 3)
    assert (record.kind, record.state, record.tags) == ("elsewhere.job", "scheduled", ("a",))
    assert payload(jobs, handle.id) == {
        "v": 1,
        "args": [42, None, {"a": [1.5]}],
        "kwargs": {"x": "y"},
    }


# --- ids: B23 -----------------------------------------------------------------------------------


def test_b23_an_id_that_exists_with_the_same_payload_is_answered(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send)
    first = job.using(id=GIVEN_ID.upper()).enqueue(1)
    assert (first.id, first.is_duplicate) == (GIVEN_ID, False)
    again = job.using(id=GIVEN_ID, queue="vip", priority=9).enqueue(1)
    assert (again.id, again.is_duplicate) == (GIVEN_ID, True)
    assert again.refresh().record.queue == "default", "the job that is there stays as it is"
    assert jobs.query.count() == 1
    both = jobs.enqueue_many([job.using(id=GIVEN_ID).bind(1), job.bind(2)])
    assert [handle.is_duplicate for handle in both] == [True, False]
    assert asyncio.run(job.using(id=GIVEN_ID).aenqueue(1)).is_duplicate


def test_b23_an_id_that_exists_with_another_payload_is_refused(jobs: Longshore) -> None:
    job, other = jobs.job(kind="send")(send), jobs.job(kind="other")(take)
    job.using(id=GIVEN_ID).enqueue(1)
    bulk = [job.bind(5), job.using(id=GIVEN_ID).bind(2), job.bind(6)]
    attempts: list[Callable[[], Any]] = [
        lambda: job.using(id=GIVEN_ID).enqueue(2),
        lambda: other.using(id=GIVEN_ID).enqueue(),
        lambda: jobs.push({"kind": "send", "id": GIVEN_ID}),
        lambda: jobs.enqueue_many(bulk),
        lambda: asyncio.run(job.using(id=GIVEN_ID).aenqueue(2)),
        lambda: asyncio.run(jobs.aenqueue_many(bulk)),
    ]
    for attempt in attempts:
        with pytest.raises(IdConflict, match=rf"{GIVEN_ID}.*nothing was written.*id="):
            attempt()
    assert jobs.query.count() == 1
    assert payload(jobs, GIVEN_ID)["kwargs"] == {"user_id": 1}


def test_one_id_twice_in_one_bulk(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send).using(id=GIVEN_ID)
    same = jobs.enqueue_many([job.bind(1), job.bind(1)])
    assert [handle.is_duplicate for handle in same] == [False, True]
    with pytest.raises(IdConflict):
        jobs.enqueue_many([job.bind(1), job.bind(2)])
    assert jobs.query.count() == 1


# --- bulk: B24 ----------------------------------------------------------------------------------


def test_b24_nothing_one_and_a_generator(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send)
    assert jobs.enqueue_many([]) == []
    assert asyncio.run(jobs.aenqueue_many(iter(()))) == []
    handles = jobs.enqueue_many(job.bind(number) for number in range(2_500))
    assert jobs.query.count() == 2_500
    assert [handle.id for handle in handles] == sorted(handle.id for handle in handles)
    assert payload(jobs, handles[1234].id)["kwargs"] == {"user_id": 1234}


def test_b24_one_bad_item_of_ten_thousand(jobs: Longshore) -> None:
    job: Any = jobs.job(kind="send")(send)

    def numbers() -> Iterator[object]:
        for number in range(10_000):
            yield "bad" if number == 7_777 else number

    with pytest.raises(ArgsMismatch, match=r"item 7777: send: args\.user_id.*nothing"):
        jobs.enqueue_many(job.bind(number) for number in numbers())
    with pytest.raises(ArgsMismatch, match=r"item 7777"):
        asyncio.run(jobs.aenqueue_many(job.bind(number) for number in numbers()))
    assert jobs.query.count() == 0


def test_b24_what_is_no_bound_job(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send)
    items: Any = [job.bind(1), job]
    with pytest.raises(EnqueueError, match=r"item 1: .*bind\(\)"):
        jobs.enqueue_many(items)
    other = Longshore("memory://")
    with pytest.raises(EnqueueError, match=r"item 0: .*send.*another Longshore"):
        other.enqueue_many([job.bind(1)])
    assert jobs.query.count() == 0
    assert other.query.count() == 0
    other.close()


def test_an_error_of_the_callers_generator_comes_through(jobs: Longshore) -> None:
    job = jobs.job(kind="send")(send)

    def broken() -> Iterator[Any]:
        yield job.bind(1)
        raise LookupError("of the caller")

    with pytest.raises(LookupError, match="of the caller"):
        jobs.enqueue_many(broken())
    assert jobs.query.count() == 0
