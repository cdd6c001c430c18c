"""Queries and queues: every filter, every verb, both twins, on a store that several tests fill."""

import asyncio
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from longshore import Event, Job, JobHandle, JobState, Longshore
from longshore.core.model import Ending, Lease, Run, Why
from longshore.core.store import ClaimRequest, Line, NewProcess
from longshore.errors import InvalidOption, InvalidQueueName
from longshore.query import AnyOf, Changes, Filters, Where
from longshore.query import jobs as walking


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(walking, "CHUNK", 3)
    return 3


def declare(app: Longshore) -> Any:
    @app.job(kind="mail.send", aliases=["mail.old_send"], queue="mail", max_attempts=1)
    def send(user_id: int, locale: str = "en", when: date | None = None) -> None: ...

    return send


def claim(app: Longshore, wanted: int) -> list[Lease]:
    """Take jobs as a worker does; the process is registered for an hour."""
    process = NewProcess(
        id="p1",
        app="test",
        name="worker",
        host="here",
        pid=1,
        lease=3_600_000_000,
        queues=("*",),
        kinds=(),
        slots=10,
        embedded=True,
    )
    store = app.store
    if not any(known.id == "p1" for known in store.run(store.processes())):
        store.run(store.register(process))
    taken = store.run(store.claim(ClaimRequest("p1", 1, wanted, (Line(("*",)),))))
    return [Lease(job.id, "p1", job.run) for job in taken.jobs]


def kill(app: Longshore, leases: list[Lease], error: str, message: str) -> None:
    entries = [
        Ending(
            lease,
            JobState.DEAD,
            failed=True,
            entry=Run(
                run=lease.run,
                process="p1",
                started_at=1,
                ended_at=2,
                why=Why.FAILED,
                error=error,
                message=message,
            ),
        )
        for lease in leases
    ]
    app.store.run(app.store.finish(entries))


def ids(handles: list[JobHandle[Any]]) -> list[str]:
    return [handle.id for handle in handles]


# --- filters --------------------------------------------------------------------------------


def test_everything_newest_first_and_oldest_first(jobs: Longshore) -> None:
    send = declare(jobs)
    made = ids([send.enqueue(i) for i in range(4)])
    assert [job.id for job in jobs.query] == made[::-1]
    assert [job.id for job in jobs.query.order("oldest")] == made
    assert [job.id for job in jobs.query.order("oldest").limit(2)] == made[:2]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"queue": "mail"}, {0, 1}),
        ({"queue": ["mail", "vip"]}, {0, 1, 2}),
        ({"state": "scheduled"}, {3}),
        ({"state": [JobState.AVAILABLE, "scheduled"], "queue": "bulk"}, {3}),
        ({"kind": "mail.send"}, {0, 1, 2, 3}),
        ({"kind": ["nothing", "other"]}, set()),
        ({"tags": "eu"}, {1}),
        ({"tags": ["eu", "us"]}, {1, 2}),
        ({"args": {"user_id": 1}}, {1}),
        ({"args": {"user_id": AnyOf((1, 2))}}, {1, 2}),
        ({"args": {"user_id": 1, "locale": "de"}}, set()),
        ({"args": {"user_id": True}}, set()),
        ({"args": {"when": date(2030, 1, 1)}}, {2}),
        ({"id": []}, set()),
        ({}, {0, 1, 2, 3}),
    ],
)
def test_filters(jobs: Longshore, filters: Filters, found: set[int]) -> None:
    send = declare(jobs)
    made = [
        send.enqueue(0),
        send.using(tags=["eu", "x"]).enqueue(1),
        send.using(queue="vip", tags=["us"]).enqueue(2, when=date(2030, 1, 1)),
        send.using(queue="bulk", delay="1h").enqueue(3),
    ]
    wanted = {made[place].id for place in found}
    query = jobs.query.filter(**filters)
    assert {job.id for job in query} == wanted
    assert query.count() == len(wanted)
    first = query.first()
    assert (first.id if first else None) == max(wanted, default=None)


def test_id_and_repeated_filters_narrow(jobs: Longshore) -> None:
    send = declare(jobs)
    one, two = send.using(tags=["a", "b"]).enqueue(1), send.using(tags=["a"]).enqueue(2)
    assert jobs.query.filter(id=one.id.upper()).count() == 1
    assert jobs.query.filter(id=[one.id, two.id]).filter(id=two.id).first().id == two.id
    assert jobs.query.filter(tags="a").filter(tags="b").count() == 1
    assert jobs.query.filter(queue="mail").filter(queue="vip").count() == 0
    assert list(jobs.query.filter(queue="mail").filter(queue="vip")) == []


def test_kind_by_function_and_class_covers_aliases(jobs: Longshore) -> None:
    send = declare(jobs)

    class Resize(Job, app=jobs):
        kind = "img.resize"

        def perform(self, width: int) -> None: ...

    send.enqueue(1)
    jobs.push({"kind": "mail.old_send", "args": [2]})
    Resize.enqueue(640)
    assert jobs.query.filter(kind=send).count() == 2
    assert jobs.query.filter(kind="mail.send").count() == 1
    assert jobs.query.filter(kind=[send, Resize]).count() == 3
    with pytest.raises(InvalidOption, match="not a job of this application"):
        jobs.query.filter(kind=dict)


def test_error_by_class_or_message(jobs: Longshore) -> None:
    send = declare(jobs)
    for i in range(3):
        send.enqueue(i)
    leases = claim(jobs, 2)
    kill(jobs, leases[:1], "requests.exceptions.Timeout", "host example took 5 s")
    kill(jobs, leases[1:], "TimeoutError", "")

    def found(*errors: Any) -> int:
        return jobs.query.filter(error=list(errors)).count()

    assert found("Timeout") == 2
    assert found("TimeoutE") == 1
    assert found("requests.exceptions.Timeout") == 1
    assert found("took 5") == 1
    assert found(TimeoutError) == 1
    assert found("TimeoutError", "Timeout") == 2
    assert found("exceptions") == 0


def test_an_error_class_is_meant_as_a_whole(jobs: Longshore) -> None:
    declare(jobs).enqueue(1)
    kill(jobs, claim(jobs, 1), "shop.CloudOSError", "")
    assert jobs.query.filter(error="OSError").count() == 1
    assert jobs.query.filter(error=OSError).count() == 0


def test_meta_is_matched_inside_nested_names() -> None:
    where = Where().narrowed({"meta": {"trace": {"id": 7}}}, Longshore("memory://").registry)
    send = declare(app := Longshore("memory://"))
    record = send.enqueue(1).refresh().record
    import msgspec

    assert where.accepts(msgspec.structs.replace(record, meta={"trace": {"id": 7, "x": 1}}))
    assert not where.accepts(msgspec.structs.replace(record, meta={"trace": {"id": 8}}))
    assert not where.accepts(msgspec.structs.replace(record, meta={"trace": 7}))
    app.close()


def test_unreadable_payload_matches_no_argument(jobs: Longshore) -> None:
    import msgspec

    send = declare(jobs)
    record = send.enqueue(1).record
    where = Where().narrowed({"args": {"user_id": 1}}, jobs.registry)
    assert where.accepts(record)
    boxed = msgspec.structs.replace(record, payload=b'{"v":1,"kid":"k","box":"..."}')
    assert not where.accepts(boxed)
    assert not where.accepts(msgspec.structs.replace(record, payload=b"not json"))


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"stat": "dead"}, "Did you mean state"),
        ({"state": "ded"}, "Did you mean dead"),
        ({"state": "flying"}, "States: waiting"),
        ({"state": None}, "Leave state out"),
        ({"state": 7}, "not text"),
        ({"state": {"a": 1}}, "not a value or a list"),
        ({"id": "42"}, "not a job's id"),
        ({"args": 7}, "not a mapping"),
        ({"args": {1: 2}}, "not text"),
        ({"args": {"a": object()}}, "cannot be compared"),
        ({"error": ""}, "neither an exception"),
        ({"kind": 7}, "not a job of this application"),
    ],
)
def test_wrong_filters_are_refused(jobs: Longshore, filters: Any, message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        jobs.query.filter(**filters)


def test_wrong_queue_order_and_limit_are_refused(jobs: Longshore) -> None:
    with pytest.raises(InvalidQueueName):
        jobs.query.filter(queue="a b")
    with pytest.raises(InvalidOption, match="newest"):
        jobs.query.order("age")  # type: ignore[arg-type]
    for wrong in (-1, True, "7"):
        with pytest.raises(InvalidOption, match="limit"):
            jobs.query.limit(wrong)  # type: ignore[arg-type]


def test_a_query_does_not_change(jobs: Longshore) -> None:
    send = declare(jobs)
    send.enqueue(1)
    everything = jobs.query
    assert everything.filter(queue="vip").count() == 0
    assert everything.limit(0).count() == 0
    assert everything.count() == 1


# --- how far it looks -------------------------------------------------------------------------


@pytest.mark.usefixtures("small_chunks")
def test_examined_tells_how_many_rows_were_read(jobs: Longshore) -> None:
    send = declare(jobs)
    for i in range(10):
        send.enqueue(i)
    counted = jobs.query.filter(queue="mail")
    assert (counted.count(), counted.examined) == (10, 0)  # by the store's counters
    rows = jobs.query.filter(args={"user_id": 4})
    assert (rows.count(), rows.examined) == (1, 10)
    newest = jobs.query.filter(args={"user_id": 9})
    assert newest.first() is not None
    assert newest.examined == 3


@pytest.mark.usefixtures("small_chunks")
def test_a_limit_stops_the_reading(jobs: Longshore) -> None:
    send = declare(jobs)
    for i in range(20):
        send.using(tags=["odd"] if i % 2 else []).enqueue(i)
    query = jobs.query.filter(tags="odd").limit(4)
    assert [job.record.tags for job in query] == [("odd",)] * 4
    assert query.examined <= 9
    assert query.count() == 4


# --- verbs ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_chunks")
def test_delete_walks_everything_although_rows_vanish(jobs: Longshore) -> None:
    send = declare(jobs)
    for i in range(10):
        send.enqueue(i)
    running = claim(jobs, 1)
    seen = list[Changes]()
    total = jobs.query.delete(progress=seen.append)
    assert (total.changed, total.skipped) == (9, 1)
    assert jobs.query.count() == 1
    assert jobs.query.first().id == running[0].job_id
    assert [so_far.changed + so_far.skipped for so_far in seen] == [3, 6, 9, 10]


@pytest.mark.usefixtures("small_chunks")
def test_a_verb_ends_although_jobs_arrive_all_the_time(jobs: Longshore) -> None:
    send = declare(jobs)
    for i in range(7):
        send.enqueue(i)

    def more(_: Changes) -> None:
        for i in range(5):
            send.enqueue(i)

    assert jobs.query.filter(queue="mail").move(queue="bulk", progress=more).changed == 7


def test_retry_counts_a_dead_job_afresh_and_skips_what_runs(jobs: Longshore) -> None:
    send = declare(jobs)
    made = ids([send.enqueue(i) for i in range(3)])
    leases = claim(jobs, 2)
    kill(jobs, leases[:1], "TimeoutError", "slow")
    changes = jobs.query.filter(queue="mail").retry()
    assert (changes.changed, changes.skipped) == (1, 2)
    again = jobs.get(leases[0].job_id)
    assert (again.state, again.attempt) == (JobState.AVAILABLE, 1)
    assert jobs.get(made[1]).state is JobState.RUNNING


def test_cancel_ends_waiting_jobs_and_asks_running_ones(jobs: Longshore) -> None:
    send = declare(jobs)
    for i in range(3):
        send.enqueue(i)
    lease = claim(jobs, 1)[0]
    changes = jobs.query.cancel("wrong region")
    assert (changes.changed, changes.requested, changes.skipped) == (2, 1, 0)
    assert jobs.get(lease.job_id).record.cancel_requested
    ended = jobs.query.filter(state="cancelled").first()
    assert ended is not None
    assert ended.record.reason == "wrong region"


def test_move_changes_only_the_queue_and_a_limit_takes_the_first(jobs: Longshore) -> None:
    send = declare(jobs)
    made = ids([send.enqueue(i) for i in range(4)])
    assert jobs.query.order("oldest").limit(2).move(queue="low").changed == 2
    assert {job.id for job in jobs.query.filter(queue="low")} == set(made[:2])
    with pytest.raises(InvalidQueueName):
        jobs.query.move(queue="a b")


def test_nothing_is_touched_by_a_query_that_matches_nothing(jobs: Longshore) -> None:
    declare(jobs).enqueue(1)
    assert jobs.query.filter(id=[]).delete() == Changes()
    assert jobs.query.filter(queue="vip").cancel().changed == 0
    assert jobs.query.limit(0).delete().changed == 0
    assert jobs.query.count() == 1


def test_twins_do_the_same(jobs: Longshore) -> None:
    send = declare(jobs)
    made = ids([send.enqueue(i) for i in range(4)])

    async def main() -> None:
        assert [job.id async for job in jobs.query.order("oldest")] == made
        assert await jobs.query.acount() == 4
        first = await jobs.query.afirst()
        assert first is not None
        assert first.id == made[-1]
        assert (await jobs.query.filter(id=made[0]).adelete()).changed == 1
        assert (await jobs.query.filter(id=made[1]).acancel("no")).changed == 1
        assert (await jobs.query.filter(id=made[1]).aretry()).changed == 1
        assert (await jobs.query.filter(id=made[1]).amove(queue="low")).changed == 1
        low = jobs.queues["low"]
        assert await low.adepth() == 1
        assert await low.alatency() >= 0
        await low.apause(reason="r", for_="1h")
        assert [queue.name async for queue in jobs.queues] == ["low", "mail"]
        assert (await low.arefresh()).record.paused
        await low.aresume()
        assert (await low.aclear()).changed == 1

    asyncio.run(main())


# --- queues -----------------------------------------------------------------------------------


def test_pause_and_resume_with_their_events(jobs: Longshore) -> None:
    told = list[Event]()
    jobs.on("queue.paused")(told.append)
    jobs.on("queue.resumed")(told.append)
    send = declare(jobs)
    send.enqueue(1)
    mail = jobs.queues["mail"]
    mail.pause(reason="provider down", for_="15m")
    assert claim(jobs, 1) == []
    record = mail.refresh().record
    assert (record.paused, record.reason) == (True, "provider down")
    assert record.resumes_at is not None
    mail.resume()
    assert not mail.refresh().record.paused
    assert [(event.name, event.queue, event.reason) for event in told] == [
        ("queue.paused", "mail", "provider down"),
        ("queue.resumed", "mail", None),
    ]


def test_depth_latency_and_the_list_of_queues(jobs: Longshore) -> None:
    send = declare(jobs)
    assert [queue.name for queue in jobs.queues] == []
    assert (jobs.queues["mail"].depth(), jobs.queues["mail"].latency()) == (0, 0.0)
    send.enqueue(1)
    send.enqueue(2)
    send.using(delay="1h").enqueue(3)
    send.using(queue="vip").enqueue(4)
    mail = jobs.queues["mail"]
    assert mail.depth() == 2
    assert 0 <= mail.latency() < 60
    assert mail.record.scheduled == 1
    assert [queue.record.depth for queue in jobs.queues] == [2, 1]


def test_clear_deletes_what_waits_and_nothing_else(jobs: Longshore) -> None:
    send = declare(jobs)
    for i in range(3):
        send.enqueue(i)
    kill(jobs, claim(jobs, 1), "E", "")
    send.using(delay="1h").enqueue(9)
    send.using(queue="vip").enqueue(10)
    assert jobs.queues["mail"].clear().changed == 3
    assert {job.state for job in jobs.query.filter(queue="mail")} == {JobState.DEAD}
    assert jobs.queues["vip"].depth() == 1


def test_a_wrong_queue_name_or_duration_is_refused(jobs: Longshore) -> None:
    with pytest.raises(InvalidQueueName):
        jobs.queues["a b"]
    with pytest.raises(InvalidOption):
        jobs.queues["mail"].pause(for_="5 parsecs")
    with pytest.raises(InvalidOption):
        jobs.queues["mail"].pause(for_=0)


# --- reasons ---


def reasons(jobs: Longshore, reason: Any) -> dict[str, Any]:
    """Every way to say why, on something of its own."""
    send = declare(jobs)
    handle = send.enqueue(1)
    with jobs.batch("b") as batch:
        batch.add(send.bind(2))
    return {
        "a job": lambda: handle.cancel(reason),
        "several jobs": lambda: jobs.query.filter(kind="mail.send").cancel(reason),
        "a batch": lambda: jobs.batches.get(batch.id).cancel(reason),
        "a queue": lambda: jobs.queues["mail"].pause(reason),
        "a kind": lambda: jobs.pause(kind=send, reason=reason),
    }


def test_a_reason_that_is_no_text_is_refused_before_anything_happens(jobs: Longshore) -> None:
    for what, call in reasons(jobs, 7).items():
        with pytest.raises(InvalidOption, match="reason=7 is no text; nothing was changed"):
            call()
        assert jobs.query.filter(state="available").count() == 2, what


@pytest.mark.parametrize("reason", ["\ud800 half a character", "long" * 1000])
def test_a_reason_is_kept_as_far_as_it_can_be_stored(jobs: Longshore, reason: str) -> None:
    calls = reasons(jobs, reason)
    calls["a queue"]()
    calls["a kind"]()
    calls["a job"]()
    [queue] = jobs.store.run(jobs.store.queues())
    cancelled = [one.record.reason for one in jobs.query.filter(state="cancelled")]
    for kept in (queue.reason, *cancelled):
        assert kept
        assert len(kept.encode()) <= 1000
