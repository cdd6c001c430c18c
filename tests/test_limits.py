"""Concurrency, rates, paused kinds and limits changed at run time, with workers over two stores."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import (
    Concurrency,
    ConfigurationError,
    InvalidOption,
    InvalidQueueName,
    Job,
    JobState,
    Longshore,
    LongshoreWarning,
    Rate,
    Snooze,
)
from tests.limits_tools import Hand, check_rate
from tests.worker_tools import eventually


@pytest.fixture(params=["memory", "sqlite"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Longshore]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    app = Longshore(url)
    yield app
    app.close()


class Crowd:
    """Counts who is inside at once, by key."""

    def __init__(self) -> None:
        self.most: dict[object, int] = defaultdict(int)
        self._inside: dict[object, int] = defaultdict(int)
        self._lock = threading.Lock()

    def pass_through(self, key: object, seconds: float = 0.01) -> None:
        with self._lock:
            self._inside[key] += 1
            self.most[key] = max(self.most[key], self._inside[key])
        threading.Event().wait(seconds)
        with self._lock:
            self._inside[key] -= 1


# --- concurrency --------------------------------------------------------------------------------


def test_never_more_than_the_limit_run_and_others_go_by(jobs: Longshore) -> None:
    crowd, order = Crowd(), list[str]()

    @jobs.job(kind="sync", concurrency=Concurrency(to=2, key="account"))
    def sync(account: int) -> None:
        order.append("sync")
        crowd.pass_through(account)

    @jobs.job(kind="plain")
    def plain() -> None:
        order.append("plain")

    jobs.enqueue_many(sync.bind(1) for _ in range(20))
    jobs.enqueue_many(sync.bind(2) for _ in range(4))
    last = plain.enqueue()
    jobs.worker(threads=8).run(until_empty=True)
    assert crowd.most == {1: 2, 2: 2}
    assert jobs.query.filter(state="succeeded").count() == 25
    assert order.index("plain") < 10, "it stood behind 24 others that had to wait"
    assert last.refresh().record.run == 1
    assert {(h.record.run, h.record.failures) for h in jobs.query} == {(1, 0)}
    assert all(record.used == record.blocked == 0 for record in jobs.limits.list())


def test_several_limits_are_taken_all_or_none(jobs: Longshore) -> None:
    crowd = Crowd()

    @jobs.job(
        kind="sync",
        concurrency=[Concurrency(to=1, key="account"), Concurrency(to=3, group="all")],
    )
    def sync(account: int) -> None:
        crowd.pass_through("all")
        crowd.pass_through(account, 0)

    jobs.enqueue_many(sync.bind(n % 6) for n in range(36))
    jobs.worker(threads=10).run(until_empty=True)
    assert crowd.most["all"] == 3
    assert jobs.query.filter(state="succeeded").count() == 36
    assert jobs.limits.get("all") == () or jobs.limits.get("all")[0].used == 0


def test_kinds_of_one_group_count_together(jobs: Longshore) -> None:
    crowd = Crowd()
    limit = Concurrency(to=2, key="tenant", group="tenant")

    @jobs.job(kind="one", concurrency=limit)
    def one(tenant: str) -> None:
        crowd.pass_through(tenant)

    class Other(Job, app=jobs):
        kind = "other"
        concurrency = limit

        def perform(self, tenant: str) -> None:
            crowd.pass_through(tenant)

    for _ in range(8):
        one.enqueue("acme")
        Other.enqueue("acme")
    jobs.worker(threads=8).run(until_empty=True)
    assert crowd.most == {"acme": 2}
    assert jobs.query.filter(state="succeeded").count() == 16


def test_coroutine_jobs_are_limited_too(jobs: Longshore) -> None:
    inside, most = 0, 0

    @jobs.job(kind="fetch", concurrency=Concurrency(to=3))
    async def fetch() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1

    jobs.enqueue_many(fetch.bind() for _ in range(12))
    jobs.worker(threads=8).run(until_empty=True)
    assert most == 3
    assert jobs.query.filter(state="succeeded").count() == 12


def test_a_slot_is_given_back_however_a_run_ends(jobs: Longshore) -> None:
    @jobs.job(kind="end", concurrency=Concurrency(to=1), max_attempts=1)
    def end(how: str) -> None:
        if how == "raise":
            raise ValueError(how)
        if how == "snooze":
            raise Snooze("1h")

    handles = jobs.enqueue_many(end.bind(how) for how in ("raise", "snooze", "return"))
    jobs.worker(threads=2).run(until_empty=True)
    assert [handle.refresh().state for handle in handles] == ["dead", "scheduled", "succeeded"]
    assert all(record.used == 0 for record in jobs.limits.list())
    first, second = end.enqueue("return"), end.enqueue("return")
    hand = Hand(jobs)
    (job,) = hand.claim()
    assert (job.id, hand.claim()) == (first.id, [])
    hand.die(job)
    hand = Hand(jobs, "next")
    assert [job.id for job in hand.claim()] == [first.id], "its place was kept, and its slot"
    assert second.refresh().record.blocked_by == "c:end:"


# --- changed at run time ------------------------------------------------------------------------


def test_a_limit_is_changed_at_run_time(jobs: Longshore) -> None:
    @jobs.job(kind="sync", concurrency=Concurrency(to=1, key="account", group="account"))
    def sync(account: int) -> None: ...

    jobs.enqueue_many(sync.bind(7) for _ in range(6))
    hand = Hand(jobs)
    assert len(hand.claim()) == 1
    jobs.limits.set("account", to=3)
    assert len(hand.claim()) == 2
    (record,) = jobs.limits.get("account")
    assert (record.key, record.value, record.used) == ("c:account:7", "7", 3)
    assert record.setting is not None
    assert record.setting.to == 3
    assert len(record.holders) == 3
    jobs.limits.reset("account")
    assert hand.claim() == []
    asyncio.run(jobs.limits.aset("account", to=4))
    assert len(hand.claim()) == 1
    assert asyncio.run(jobs.limits.aget("account")) == jobs.limits.get("account")
    assert asyncio.run(jobs.limits.alist()) == jobs.limits.list()
    asyncio.run(jobs.limits.areset("account"))
    assert hand.claim() == []


def test_a_limit_of_none_stops_a_kind_until_it_is_set_again(jobs: Longshore) -> None:
    @jobs.job(kind="sync", rate=Rate(100, per="1s"))
    def sync() -> None: ...

    jobs.limits.set("sync", to=0)
    handle = sync.enqueue()
    jobs.worker(threads=1).run(until_empty=True)
    assert handle.refresh().state is JobState.AVAILABLE
    jobs.limits.reset("sync")
    jobs.worker(threads=1).run(until_empty=True)
    assert handle.refresh().state is JobState.SUCCEEDED


def test_what_cannot_be_set_is_refused(jobs: Longshore) -> None:
    jobs.job(kind="sync", concurrency=Concurrency(to=1, group="account"))(lambda: None)
    for given, told in (
        ({"to": -1}, r"to=-1 must be a whole number from 0"),
        ({"to": "5"}, r"to='5'"),
        ({"to": 5, "per": "1m"}, r"account is a concurrency.*no per="),
    ):
        with pytest.raises(InvalidOption, match=told):
            jobs.limits.set("account", **given)
    for name in ("", "c:account", 5):
        with pytest.raises(InvalidOption, match="is not the name of a limit"):
            jobs.limits.set(name, to=1)
    with pytest.warns(LongshoreWarning, match=r"limit 'acount'.*mean account\?"):
        jobs.limits.set("acount", to=1)
    jobs.limits.set("elsewhere", to=1)  # of another application in the same store
    assert {record.name for record in jobs.limits.list()} == {"acount", "elsewhere"}


# --- rate ---------------------------------------------------------------------------------------


@pytest.mark.timed
@pytest.mark.slow
def test_five_hundred_jobs_at_a_hundred_a_second(jobs: Longshore) -> None:
    seen: list[tuple[int, float]] = []
    others: list[float] = []

    @jobs.job(kind="call", rate=Rate(100, per="1s"))
    def call(n: int) -> None:
        seen.append((n, time.time()))

    @jobs.job(kind="plain", queue="plain")
    def plain(at: float) -> None:
        others.append(time.time() - at)

    handles = jobs.enqueue_many(call.bind(n) for n in range(500))
    over = threading.Event()

    def enqueue_others() -> None:
        while not over.wait(0.05):
            plain.enqueue(time.time())

    beside = threading.Thread(target=enqueue_others)
    with jobs.worker(threads=4).running():
        beside.start()
        eventually(lambda: len(seen) == 500, 30)
        over.set()
        beside.join(10)
        eventually(lambda: jobs.query.filter(state=["available", "running"]).count() == 0)
    records = [handle.refresh().record for handle in handles]
    check_rate(records, dict(seen))
    assert statistics.median(others) < 0.1, "jobs beside it are not delayed"


def test_statements_for_each_started_job_of_a_rate(tmp_path: Path) -> None:
    app, counted = Longshore(f"sqlite:///{tmp_path}/jobs.db"), [0]

    @app.job(kind="call", rate=Rate(100, per="200ms"))
    def call(n: int) -> None: ...

    def count(_name: str, _number: int) -> None:
        counted[0] += 1

    app.enqueue_many(call.bind(n) for n in range(400))
    vars(app.store)["_on_statement"] = count
    app.worker(threads=4).run(until_empty=True)
    assert app.query.filter(state="succeeded").count() == 400
    assert counted[0] / 400 <= 3, counted
    app.close()


def test_keyed_rates_do_not_wait_for_each_other(jobs: Longshore) -> None:
    order: list[str] = []

    @jobs.job(kind="call", rate=Rate(2, per="1h", key="host"))
    def call(host: str, n: int) -> None:
        order.append(f"{host}{n}")

    jobs.enqueue_many([call.bind("a", n) for n in range(4)] + [call.bind("b", 1)])
    with jobs.worker(threads=1).running():
        eventually(lambda: len(order) == 3)
    assert order == ["a0", "a1", "b1"]
    blocked = [h.record.blocked_by for h in jobs.query.filter(state="available")]
    assert blocked == ["r:call:a", "r:call:a"]


@pytest.mark.timed
def test_a_slot_that_is_busy_is_not_free_for_a_rate(jobs: Longshore) -> None:
    """What is claimed with a rate starts then: it is not kept behind something long."""
    running, go_on = threading.Event(), threading.Event()
    late: list[float] = []

    @jobs.job(kind="long")
    def long() -> None:
        running.set()
        assert go_on.wait(20)

    @jobs.job(kind="call", rate=Rate(100, per="1s"))
    def call(at: int) -> None: ...

    long.enqueue()
    with jobs.worker(threads=1).running():
        assert running.wait(10)
        handles = [call.enqueue(n) for n in range(3)]
        threading.Event().wait(0.3)
        assert {handle.refresh().record.run for handle in handles} == {0}, "none was claimed"
        go_on.set()
        began = time.monotonic()
        for handle in handles:
            handle.wait(timeout=10)
        late.append(time.monotonic() - began)
    assert late[0] < 0.8, "it looked again when the slot was free"


def test_a_worker_without_a_free_slot_for_a_rate_waits_for_one(jobs: Longshore) -> None:
    """A claim that ended for want of a slot is not repeated before there is one."""
    running, go_on, claims = threading.Event(), threading.Event(), list[str]()

    @jobs.job(kind="quick")
    def quick() -> None: ...

    @jobs.job(kind="long")
    def long() -> None:
        running.set()
        assert go_on.wait(20)

    @jobs.job(kind="call", rate=Rate(100, per="1s"))
    def call(n: int) -> None: ...

    def count(operation: str, number: int) -> None:
        if operation in ("claim", "exchange") and number == 1:
            claims.append(operation)

    # Short jobs, after which the worker claims ahead of its slots.
    handles = [*jobs.enqueue_many(quick.bind() for _ in range(100)), long.enqueue()]
    vars(jobs.store)["_on_statement"] = count
    with jobs.worker(threads=1).running():
        assert running.wait(10)
        threading.Event().wait(0.1)
        claims.clear()
        for n in range(20):
            handles.append(call.enqueue(n))
            threading.Event().wait(0.02)
        asked = len(claims)
        go_on.set()
        for handle in handles:
            handle.wait(timeout=10)
    assert asked <= 2, "one that finds no slot, and perhaps one on its way"


def test_until_empty_waits_for_a_rate_to_open(jobs: Longshore) -> None:
    ran: list[int] = []

    @jobs.job(kind="call", rate=Rate(2, per="300ms"))
    def call(n: int) -> None:
        ran.append(n)

    jobs.enqueue_many(call.bind(n) for n in range(5))
    began = time.monotonic()
    jobs.worker(threads=2).run(until_empty=True)
    assert sorted(ran) == [0, 1, 2, 3, 4]
    assert time.monotonic() - began >= 0.55


# --- paused kinds -------------------------------------------------------------------------------


def test_a_kind_is_paused_in_every_queue(jobs: Longshore) -> None:
    ran: list[str] = []

    @jobs.job(kind="app.sync", aliases=["app.old_sync"])
    def sync(name: str) -> None:
        ran.append(name)

    @jobs.job(kind="plain")
    def plain() -> None:
        ran.append("plain")

    sync.enqueue("a")
    sync.using(queue="other").enqueue("b")
    jobs.push({"kind": "app.old_sync", "args": ["c"]})
    jobs.pause(kind="app.sync", reason="provider down")
    plain.enqueue()
    jobs.worker(threads=2).run(until_empty=True)
    assert ran == ["plain"]
    kinds = {kind.kind: kind.reason for kind in jobs.store.run(jobs.store.kinds())}
    assert kinds == {"app.sync": "provider down", "app.old_sync": "provider down"}
    jobs.resume(kind=sync)
    jobs.worker(threads=2).run(until_empty=True)
    assert sorted(ran) == ["a", "b", "c", "plain"]


def test_a_pause_of_a_kind_ends_by_itself(jobs: Longshore) -> None:
    ran = threading.Event()

    class Sync(Job, app=jobs):
        kind = "app.sync"

        def perform(self) -> None:
            ran.set()

    asyncio.run(jobs.apause(kind=Sync, for_="1500ms"))
    handle = Sync.enqueue()
    with jobs.worker(threads=1).running():
        assert not ran.wait(0.1)
        assert ran.wait(10)
    record = handle.refresh().record
    assert record.attempted_at is not None
    assert record.attempted_at - record.created_at >= 250_000
    asyncio.run(jobs.aresume(kind=Sync))


def test_kinds_that_are_not_declared_here(jobs: Longshore) -> None:
    jobs.job(kind="app.sync")(lambda: None)
    jobs.pause(kind="elsewhere.job")
    with pytest.warns(LongshoreWarning, match=r"'app.snyc'.*mean app.sync\?"):
        jobs.pause(kind="app.snyc")
    with pytest.raises(InvalidOption, match=r"kind=5 is not a job"):
        jobs.pause(kind=5)
    with pytest.raises(InvalidOption, match=r"for_=0"):
        jobs.pause(kind="app.sync", for_=0)


# --- queues with weights ------------------------------------------------------------------------


def test_queues_share_by_weight(jobs: Longshore) -> None:
    order: list[str] = []

    @jobs.job(kind="note")
    def note(name: str) -> None:
        order.append(name)

    for queue in ("mail", "reports"):
        jobs.enqueue_many(note.using(queue=queue).bind(queue) for _ in range(1000))
    jobs.enqueue_many(note.using(queue="low").bind("low") for _ in range(5))
    jobs.enqueue_many(note.using(queue="vip").bind("vip") for _ in range(5))
    jobs.worker(queues=["vip", "mail:8", "reports:2", "*"], threads=1).run(until_empty=True)
    assert order[:5] == ["vip"] * 5
    assert order[-5:] == ["low"] * 5
    both = order[5:1005]
    assert 0.75 <= both.count("mail") / 1000 <= 0.85
    longest = max(len(list(run)) for key, run in itertools.groupby(both) if key == "mail")
    assert longest <= 600, "nothing starves"


@pytest.mark.parametrize(
    ("queues", "told"),
    [
        (["mail:0"], r"'0' is not a weight. Give a whole number from 1 to 1000"),
        (["mail:1001"], r"'1001' is not a weight"),
        (["mail:-1"], r"'-1' is not a weight"),
        (["mail:"], r"'' is not a weight"),
        (["mail:x"], r"'x' is not a weight"),
        (["mail:1.5"], r"'1\.5' is not a weight"),
        (["mail", "mail:2"], r"listed twice"),
        (["mail:2", "mail:2"], r"listed twice"),
        (["-mail:2"], r"is not a queue name"),
        ([":2"], r"is not a queue name"),
        ([], r"at least one queue"),
    ],
)
def test_b40_queues_that_are_refused(jobs: Longshore, queues: list[str], told: str) -> None:
    with pytest.raises((ConfigurationError, InvalidQueueName), match=told):
        jobs.worker(queues=queues)


def test_b40_ten_thousand_queues(jobs: Longshore) -> None:
    worker: Any = jobs.worker(queues=[f"q{n}" for n in range(10_000)])
    assert worker is not None
