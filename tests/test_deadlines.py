"""Every call has an end, whatever the line does, and what came too late is read by nobody."""

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from longshore.core.model import Lease
from longshore.core.store import (
    Beat,
    ClaimRequest,
    Filter,
    Line,
    NewProcess,
    Operation,
    ProcessBeat,
    Store,
    Watch,
)
from longshore.errors import StoreUnavailable
from longshore.stores.deadlines import ANSWER, Deadline
from longshore.stores.mysql.store import MySQLStore
from longshore.stores.postgres.listen import PostgresWatch
from longshore.stores.postgres.store import PostgresStore
from longshore.stores.redis.store import RedisStore
from longshore.testing.conformance.bench import Bench, Facade, succeeded
from tests.fault_proxy import FaultProxy
from tests.fault_tools import behind, line_to
from tests.places import each
from tests.stores import empty_place, opened

pytestmark = pytest.mark.slow

#: Instead of the five seconds, and far longer than any of these calls should take then.
SOON, PLENTY = 0.4, 20.0
STORES = ("postgres18", "mariadb", "valkey")
#: The drivers that await; MariaDB's are the blocking ones in a thread.
AWAITING = ("postgres18", "valkey")


@pytest.fixture
def line(kind: str) -> Iterator[FaultProxy]:
    with line_to(kind) as line:
        yield line


@pytest.fixture
def store(kind: str, line: FaultProxy) -> Iterator[Store]:
    """A store over the line with one process, `p`, and jobs."""
    store = opened(behind(line, empty_place(kind)))
    store.run(store.register(PROCESS))
    yield store
    store.close()


PROCESS = NewProcess(
    id="p",
    app="app",
    name="p",
    host="host",
    pid=1,
    lease=3_600_000_000,
    queues=("*",),
    kinds=("app.job",),
    slots=1,
    embedded=False,
)
UNKNOWN = Lease("00000000-0000-7000-8000-000000000000", "p", 1)
EVERYTHING = (Line(("*",)),)
CALLS: dict[str, Callable[[Store], Operation[Any]]] = {
    "idle": lambda store: store.identity(),
    "claim": lambda store: store.claim(ClaimRequest("p", 1, 1, EVERYTHING)),
    "finish": lambda store: store.finish([succeeded(UNKNOWN)]),
    "beat": lambda store: store.beat(Beat((ProcessBeat("p", 1),), 3_600_000_000)),
}


def hurry(store: Store) -> None:
    """Let a store wait for answers for a shorter time than people would want."""
    match store:
        case PostgresStore():
            store._pool.discard()
            store._pool.answer = store._patience = SOON
        case MySQLStore():
            store._pool.close_idle()
            store._place = msgspec.structs.replace(store._place, answer=SOON)
            store._patience = SOON
        case RedisStore():
            store._links._drop()
            store._links.place = msgspec.structs.replace(
                store._links.place, answer=SOON, connect=SOON
            )
            store.patience = SOON
        case _:
            pytest.fail(f"{store} is not reached over a line")


def hole(facade: Facade, line: FaultProxy, op: Operation[Any]) -> float:
    """How many seconds a call takes that nobody answers; afterwards the line is whole."""
    line.blackhole()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        facade.do(op)
    took = time.monotonic() - began
    line.heal()
    return took


@pytest.mark.parametrize(
    ("kind", "awaiting"),
    [
        *(pytest.param(kind, False, marks=pytest.mark.servers) for kind in STORES),
        *(pytest.param(kind, True, marks=pytest.mark.servers) for kind in AWAITING),
    ],
)
def test_no_call_waits_for_ever_and_the_next_is_answered(
    store: Store, line: FaultProxy, awaiting: bool
) -> None:
    hurry(store)
    with contextlib.closing(Facade(store, awaiting=awaiting)) as facade:
        for name, call in CALLS.items():
            facade.do(store.identity())  # connected
            took = hole(facade, line, call(store))
            assert SOON * 0.9 <= took < PLENTY, f"{name} took {took:.1f} s"
            began = time.monotonic()
            assert facade.do(store.identity()) is not None
            assert time.monotonic() - began < 5.0, "it did not find its way back"


@pytest.mark.parametrize("kind", each(*STORES))
def test_a_server_that_does_not_even_greet_is_given_up(
    kind: str, store: Store, line: FaultProxy
) -> None:
    store.run(store.identity())
    line.cut()
    hurry(store)
    if isinstance(store, PostgresStore):
        store._pool.parameters["connect_timeout"] = "2"  # its least
    line.blackhole()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        store.run(store.identity())
    if isinstance(store, MySQLStore):
        with pytest.raises(store._driver.Error):
            store.connect()
    assert time.monotonic() - began < PLENTY
    line.heal()
    if isinstance(store, MySQLStore):
        with contextlib.closing(store.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("select sleep(%s)", (SOON * 2,))  # a job may take its time
            assert cursor.fetchall() == ((0,),)
    assert store.run(store.identity()) is not None


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", each("postgres18"))
def test_the_end_comes_after_five_seconds(store: Store, line: FaultProxy) -> None:
    facade = Facade(store, awaiting=False)
    took = hole(facade, line, CALLS["beat"](store))
    # Six are the rule, of which a machine that is busy may be late to notice.
    assert ANSWER * 0.9 <= took < 6.0 + 1.0


@pytest.mark.parametrize("kind", each(*STORES))
def test_an_answer_that_comes_too_late_is_not_taken_for_another(
    store: Store, line: FaultProxy
) -> None:
    hurry(store)
    store.run(store.identity())
    line.delay(SOON * 3)
    with pytest.raises(StoreUnavailable):
        store.run(store.processes())
    line.delay(0)
    assert isinstance(store.run(store.identity()), str)
    assert [process.id for process in store.run(store.processes())] == ["p"]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", each(*STORES))
def test_a_torn_answer_is_asked_for_again(store: Store, line: FaultProxy) -> None:
    bench = Bench(lambda **_: store, awaiting=False)
    jobs = [bench.new(kind=f"app.{number}") for number in range(65)]
    for size in range(1, 65):
        store.run(store.identity())  # connected
        line.truncate(size)
        if size % 2:
            (answer,) = store.run(store.insert(jobs[size : size + 1]))
            assert answer.id == jobs[size].id
        else:
            found = store.run(store.get([jobs[size - 1].id]))
            assert [job.kind for job in found.values()] == [f"app.{size - 1}"]
        assert line.hit
    assert sum(counted.jobs for counted in store.run(store.count(Filter()))) == 32


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", each(*AWAITING))
def test_a_cancelled_call_leaves_no_answer_to_the_next(store: Store, line: FaultProxy) -> None:
    bench = Bench(lambda **_: store, awaiting=False)
    jobs = [bench.new(kind=f"app.{number}") for number in range(8)]
    store.run(store.insert(jobs))

    async def cancelled(job_id: str, turns: int) -> None:
        asked = asyncio.ensure_future(store.arun(store.get([job_id])))
        for _ in range(turns):
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])

    async def many() -> None:
        line.delay(0.001)
        for turns, (job, other) in zip(range(150), itertools.cycle(itertools.pairwise(jobs))):
            await cancelled(job.id, turns % 25)
            found = await store.arun(store.get([other.id]))
            assert [record.kind for record in found.values()] == [other.kind]

    asyncio.run(many())


@pytest.mark.parametrize(
    ("kind", "saying"),
    [
        pytest.param("postgres18", b"listen ", marks=pytest.mark.servers),
        pytest.param("valkey", b"BLPOP", marks=pytest.mark.servers),
    ],
)
def test_a_listener_that_hears_nothing_any_more_listens_anew(
    store: Store, line: FaultProxy, saying: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Instead of ten seconds and three.
    monkeypatch.setattr("longshore.stores.redis.watch.ROUND", 1)
    monkeypatch.setattr("longshore.stores.redis.watch.CONNECT", SOON)
    bench = Bench(lambda **_: store, awaiting=False)
    with contextlib.closing(store.watch()) as watch:
        if isinstance(watch, PostgresWatch):
            watch._probe, watch._patience = SOON, SOON
        hear(watch, store, bench)
        line.blackhole(saying=saying)
        hear(watch, store, bench)


def hear(watch: Watch, store: Store, bench: Bench) -> None:
    """A watch hears of a job before it would have looked by itself, sooner or later."""
    end = time.monotonic() + PLENTY
    while time.monotonic() < end:
        while watch.wait(0.05):
            pass
        store.run(store.insert([bench.new()]))
        if watch.wait(SOON):
            return
    pytest.fail("the watch is deaf")


def test_a_deadline_that_is_closed_ends_nothing() -> None:
    one, other = socket.socketpair()
    with one, other:
        closed, open_ = Deadline(one.fileno(), 0.1), Deadline(other.fileno(), 60.0)
        with closed, open_:
            closed.close()
            one.settimeout(0.5)
            with pytest.raises(TimeoutError):
                one.recv(1)
