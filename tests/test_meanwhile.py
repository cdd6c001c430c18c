"""What one exchange brought is taken in while the store is at the next."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longshore import Longshore, StoreBusy, StoreError
from longshore.core.model import JobState
from longshore.core.store import ClaimRequest, Filter
from longshore.core.store_url import parse_url
from longshore.core.unread import Unread
from longshore.stores.postgres.store import PostgresStore
from longshore.stores.redis.store import RedisStore
from longshore.worker import embedded, engine
from longshore.worker.beacon import Beacon
from longshore.worker.buffer import CLAIM, Durations
from longshore.worker.engine import Engine
from longshore.worker.fence import Fence
from longshore.worker.later import Later
from longshore.worker.plan import Plan
from tests import postgres_tools
from tests.fault_proxy import FaultProxy
from tests.harbour_tools import eventually
from tests.places import Place, each, place
from tests.redis_tools import open_at
from tests.store_tools import EVERYTHING, claim, job, register
from tests.stores import opened

JOBS = 6000

where, postgres_store = postgres_tools.where, postgres_tools.store


@pytest.fixture(params=each("redis", "valkey"))
def redis_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisStore]:
    with place(request.param, tmp_path) as where, closing(open_at(where)) as store:
        yield store


class Drain:
    """Many tiny jobs and a worker; each exchange is shown to ``at`` before it is driven."""

    def __init__(self, at: Callable[[int, Any], None] = lambda _number, _op: None) -> None:
        self.jobs = Longshore(store="memory://")
        self.ran: Counter[int] = Counter()
        self.exchanges = 0

        @self.jobs.job(kind="tiny")
        def tiny(n: int) -> None:
            self.ran[n] += 1

        for first in range(0, JOBS, 1000):
            self.jobs.enqueue_many(tiny.bind(n) for n in range(first, first + 1000))
        store = self.jobs.client.store
        run = store.run

        def shown(op: Any) -> Any:
            if op.name == "exchange":
                self.exchanges += 1
                at(self.exchanges, op)
            return run(op)

        vars(store)["run"] = shown

    def states(self) -> dict[str, int]:
        store = self.jobs.client.store
        return {str(one.state): one.jobs for one in store.run(store.count(Filter()))}


@pytest.fixture(autouse=True)
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for many jobs and time for many exchanges, however slow the machine is just now."""
    monkeypatch.setattr(engine, "AT_ONCE", 60)
    monkeypatch.setattr(Durations, "room", lambda _self, slots: slots + 2 * CLAIM)


def take_in(op: Any) -> None:
    """What a store does while it works."""
    if op.meanwhile is not None:
        op.meanwhile()


def slow_drain() -> tuple[Drain, list[bool]]:
    """A store that waits for bodies while it works; of each exchange whether some ran meanwhile."""
    ran: list[bool] = []

    def works(_number: int, op: Any) -> None:
        before = len(drain.ran)
        take_in(op)
        with suppress(AssertionError):
            eventually(lambda: len(drain.ran) > before, 0.5)
        ran.append(len(drain.ran) > before)

    drain = Drain(works)
    return drain, ran


def test_jobs_run_while_the_store_is_at_the_next_exchange() -> None:
    drain, ran = slow_drain()
    drain.jobs.worker(threads=2).run(until_empty=True)
    assert sum(ran) >= 3
    assert set(drain.ran.values()) == {1}
    assert drain.states() == {"succeeded": JOBS}


@pytest.mark.parametrize("taken_in", [False, True], ids=["before", "after"])
def test_what_one_brought_is_kept_when_the_next_fails(*, taken_in: bool) -> None:
    failed: list[int] = []

    def fails(number: int, op: Any) -> None:
        if number in {4, 5, 8}:
            if taken_in:
                take_in(op)
            failed.append(number)
            raise StoreBusy("the store is busy, for a test")

    drain = Drain(fails)
    drain.jobs.worker(threads=2).run(until_empty=True)
    assert failed == [4, 5, 8]
    assert len(drain.ran) == JOBS
    assert set(drain.ran.values()) == {1}
    assert drain.states() == {"succeeded": JOBS}


def test_a_worker_that_is_told_to_stop_gives_back_what_had_just_come() -> None:
    slow = threading.Event()

    def slowly(number: int, _op: Any) -> None:
        if number >= 6:
            slow.wait(0.05)

    drain = Drain(slowly)
    with drain.jobs.worker(threads=2).running():
        eventually(lambda: drain.exchanges >= 6)
    states = drain.states()
    assert set(states) == {"succeeded", "available"}
    assert sum(states.values()) == JOBS
    assert states["succeeded"] == len(drain.ran) == sum(drain.ran.values())
    drain.jobs.close()


def test_a_worker_that_is_to_run_so_many_jobs_works_meanwhile_and_runs_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = JOBS // 2 + 7
    monkeypatch.setattr(embedded, "Plan", partial(Plan, max_jobs=most))
    drain, ran = slow_drain()
    drain.jobs.worker(threads=2).run()
    assert sum(ran) >= 3
    assert drain.states() == {"succeeded": most, "available": JOBS - most}


def test_who_outlives_a_process_sees_what_it_has_done_in_one_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = Beacon.create()
    with closing(Beacon(shared)) as beacon:
        os.close(shared)
        monkeypatch.setattr(embedded, "Engine", lambda *given: Engine(*given[:-1], beacon))
        seen: list[tuple[int, int]] = []

        def looks(_number: int, op: Any) -> None:
            take_in(op)
            seen.append((turns[0], beacon.read_head()[2]))

        turns = [0]
        tend = Engine._tend

        def counted(engine: Engine, now: float) -> None:
            turns[0] += 1
            tend(engine, now)

        monkeypatch.setattr(Engine, "_tend", counted)
        Drain(looks).jobs.worker(threads=2).run(until_empty=True)
        assert beacon.read_head()[2] == JOBS
    # Of exchanges that follow each other in one turn the later ones show more.
    ended = {turn: {jobs for at, jobs in seen if at == turn} for turn, _ in seen}
    assert max(map(len, ended.values())) >= 2


def test_what_is_taken_in_too_late_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may have run it: the lease is near its end, or was renewed by nobody for long."""
    late = False

    def slowly(number: int, op: Any) -> None:
        nonlocal late
        late = 4 <= number < 9
        take_in(op)
        late = False

    monkeypatch.setattr(Fence, "due", property(lambda _self: late))
    drain = Drain(slowly)
    drain.jobs.worker(threads=2).run(until_empty=True)
    assert set(drain.ran.values()) == {1}
    assert drain.states() == {"succeeded": JOBS}
    # Given back, and claimed anew.
    runs = Counter(handle.record.run for handle in drain.jobs.query)
    assert JOBS - runs[1] >= CLAIM


def test_later_is_once() -> None:
    done: list[tuple[int, str]] = []
    later = Later(lambda number, text: done.append((number, text)), 1, text="a")
    assert done == []
    later()
    later()
    assert done == [(1, "a")]


def test_unread_records_are_read_once_and_when_somebody_looks() -> None:
    read: list[int] = []

    def records() -> tuple[int, ...]:
        read.append(1)
        return 7, 8, 9

    unread = Unread(3, records)
    assert (len(unread), bool(unread), read) == (3, True, [])
    assert unread == (7, 8, 9)
    assert unread == Unread(3, lambda: (7, 8, 9))
    assert unread != (7, 8)
    assert (list(unread), unread[1], unread[1:]) == ([7, 8, 9], 8, (8, 9))
    assert (hash(unread), repr(unread)) == (hash((7, 8, 9)), "(7, 8, 9)")
    assert read == [1]
    assert Unread(0, tuple) == ()


def works_meanwhile(store: Any) -> None:
    """What is claimed is there for others before the answer is read."""
    new, there = job(), list[bool]()
    register(store)
    store.run(store.insert([new]))
    op = store.claim(ClaimRequest("p", 1, 5, EVERYTHING))

    def is_running() -> bool:
        return store.run(store.get([new.id]))[new.id].state is JobState.RUNNING

    def look() -> None:
        eventually(is_running)
        there.append(True)

    op.meanwhile = look
    assert [one.id for one in store.run(op).jobs] == [new.id]
    assert there == [True]


@pytest.mark.servers
def test_redis_works_meanwhile(redis_store: RedisStore) -> None:
    works_meanwhile(redis_store)


@pytest.mark.servers
def test_postgres_works_meanwhile(postgres_store: PostgresStore) -> None:
    works_meanwhile(postgres_store)


@pytest.mark.servers
def test_a_failure_meanwhile_leaves_no_connection_in_the_middle(
    postgres_store: PostgresStore,
) -> None:
    register(postgres_store)
    op = postgres_store.claim(ClaimRequest("p", 1, 5, EVERYTHING))

    def fails() -> None:
        raise ZeroDivisionError

    op.meanwhile = fails
    with pytest.raises(ZeroDivisionError):
        postgres_store.run(op)
    new = job()
    postgres_store.run(postgres_store.insert([new]))
    assert set(postgres_store.run(postgres_store.get([new.id]))) == {new.id}


@pytest.mark.servers
def test_a_store_with_one_connection_can_be_asked_meanwhile(where: Place) -> None:
    with closing(PostgresStore(f"{where.url}?connections=1")) as store:
        op, found = store.count(Filter()), list[int]()
        op.meanwhile = lambda: found.append(len(store.run(store.get([job().id]))))
        store.run(op)
        assert found


@pytest.mark.servers
@pytest.mark.parametrize("kind", [*each("redis", "postgres18")])
def test_what_is_to_be_done_does_not_wait_for_a_server_that_is_away(
    kind: str, tmp_path: Path
) -> None:
    with place(kind, tmp_path) as where:
        address = parse_url(where.url)
        with FaultProxy(address.host or "127.0.0.1", address.port or 0) as line:
            url = msgspec.structs.replace(address, host="127.0.0.1", port=line.port).reveal()
            with closing(opened(where._replace(url=url))) as store:
                store.run(store.count(Filter()))
                line.refuse()
                line.cut()
                op, began, done = store.count(Filter()), time.monotonic(), list[float]()
                op.meanwhile = lambda: done.append(time.monotonic() - began)
                with suppress(StoreError):
                    store.run(op)
                assert done[0] < 1 < time.monotonic() - began


@pytest.mark.servers
def test_redis_claims_are_read_when_somebody_looks(redis_store: RedisStore) -> None:
    register(redis_store)
    assert claim(redis_store, 1) == []
    new = [job() for _ in range(3)]
    redis_store.run(redis_store.insert(new))
    assert claim(redis_store, 2) == [one.id for one in new]
