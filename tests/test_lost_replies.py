"""A reply that is lost on its way, at every message of every operation that writes.

The server has done what it was asked, or not; who asked does not know. The store asks again with
the same request, or says so and its caller does: nothing may happen twice, and nothing be missing.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from longshore.core.model import JobState
from longshore.core.store import (
    Consuming,
    Filter,
    Inspecting,
    Maintaining,
    Operation,
    Producing,
    Retention,
    Scheduling,
    Store,
)
from longshore.errors import StoreUnavailable
from longshore.stores.clock import ManualClock
from longshore.stores.postgres.store import PostgresStore
from longshore.testing.conformance import OnStatement
from longshore.testing.conformance.bench import Bench, Facade, lease_of, succeeded
from longshore.testing.conformance.faults import ANSWERED_AGAIN, WRITES, comparable, view
from tests.fault_proxy import FaultProxy
from tests.fault_tools import behind, line_to
from tests.places import REDIS, each
from tests.stores import Lent, empty_place, opened

pytestmark = pytest.mark.slow

SERVERS = ("postgres18", "mariadb", "redis", "valkey")

#: Operations of the seam that write nothing: a lost reply to one is a question asked again.
READS: dict[str, Callable[[Store], Operation[Any]]] = {
    "get": lambda store: store.get(["x"]),
    "find": lambda store: store.find(Filter(), limit=1),
    "count": lambda store: store.count(Filter()),
    "steps": lambda store: store.steps(["x"]),
    "logs": lambda store: store.logs("x"),
    "queues": lambda store: store.queues(),
    "demand": lambda store: store.demand(),
    "kinds": lambda store: store.kinds(),
    "limits": lambda store: store.limits(),
    "bundles": lambda store: store.bundles(),
    "members": lambda store: store.members("x"),
    "processes": lambda store: store.processes(),
    "identity": lambda store: store.identity(),
    "schedules": lambda store: store.schedules(),
    "ticks": lambda store: store.ticks("x", limit=1),
}


class Lossy:
    """A bench whose store is reached directly, and the same store over a bad line."""

    def __init__(self, kind: str, line: FaultProxy, *, awaiting: bool = False) -> None:
        self.line = line
        self.awaiting = awaiting
        self._kind = kind
        self._far: Facade | None = None
        self.bench = Bench(self._open, awaiting=False)

    @property
    def far(self) -> Facade:
        """The store over the line. Servers of tables keep it: it leads to the same database."""
        if self._far is None:
            store = opened(behind(self.line, self._where), clock=self.bench.clock)
            self._far = Facade(store, awaiting=self.awaiting)
        return self._far

    def prepare(self, name: str) -> Operation[Any]:
        """An operation with much to do, in a new store."""
        self.bench.close()
        self.bench.open()
        if self._kind in REDIS:
            self.hang_up()
        self.bench.watching = False
        return WRITES[name](self.bench)

    def _open(
        self, *, clock: ManualClock, retention: Retention, on_statement: OnStatement | None = None
    ) -> Store:
        assert on_statement is None
        self._where = empty_place(self._kind)
        store = opened(self._where, retention=retention, clock=clock)
        if isinstance(store, PostgresStore):
            store._pool = Lent(store._pool)
        return store

    def hang_up(self) -> None:
        """Close the store over the line."""
        if self._far is not None:
            self._far.close()
            self._far = None

    def lose(self, op: Operation[Any], number: int) -> object:
        """Carry out an operation over the line, without the reply to one of its messages."""
        far, line = self.far, self.line
        far.do(far.store.identity())  # connected
        # No further look at the tables: its messages would come before those that are counted.
        vars(far.store)["_look_again"] = float("inf")
        line.drop_reply(number)
        try:
            return comparable(far.do(op))
        finally:
            self.hit, self.messages = line.hit, line.requests
            line.heal()


@pytest.fixture
def lossy(kind: str, request: pytest.FixtureRequest) -> Iterator[Lossy]:
    awaiting = request.node.callspec.params.get("awaiting", False)
    with line_to(kind) as line:
        lossy = Lossy(kind, line, awaiting=awaiting)
        yield lossy
        lossy.hang_up()
        lossy.bench.close()


@pytest.mark.parametrize("kind", each("valkey"))
def test_every_operation_of_the_seam_loses_its_replies_here(lossy: Lossy) -> None:
    seam = {
        name
        for part in (Producing, Consuming, Maintaining, Inspecting, Scheduling)
        for name, _ in inspect.getmembers(part, inspect.isfunction)
        if not name.startswith("_")
    }
    written = {lossy.prepare(name).name for name in WRITES}
    assert written | READS.keys() == seam
    assert [name for name, read in READS.items() if read(lossy.bench.store).writes] == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("kind", "awaiting"),
    [
        *(pytest.param(kind, False, marks=pytest.mark.servers, id=kind) for kind in SERVERS),
        pytest.param("valkey", True, marks=pytest.mark.servers, id="valkey-awaiting"),
    ],
)
def test_a_request_whose_reply_is_lost_is_carried_out_once(lossy: Lossy, awaiting: bool) -> None:
    # Of transactions the last message, which is the commit, and one other: `./dev faults` has all.
    wrong = [said for name in WRITES for said in lost_replies(lossy, name, every=False)]
    assert wrong == []


@pytest.mark.parametrize("kind", each(*SERVERS))
def test_who_is_told_that_the_store_is_away_may_ask_again_or_forget(lossy: Lossy) -> None:
    bench = lossy.bench
    bench.process()
    store = bench.store
    vars(lossy.far.store)["_patience"] = vars(lossy.far.store)["patience"] = 0.0

    new = [bench.new() for _ in range(2)]
    unknown(lossy, store.insert([bench.new() for _ in range(2)]), store.insert(new))
    assert [answer.duplicate for answer in bench.do(store.insert(new))] == [True] * 2
    assert len(bench.look()) == 4

    heard = bench.request("p1", 1)
    unknown(lossy, store.claim(heard), store.claim(bench.request("p1", 1)))
    assert running(bench) == 2
    (job,) = bench.do(store.claim(heard)).jobs
    bench.do(store.finish([succeeded(lease_of("p1", job), b"1")]))
    # What its claim took and nobody heard of goes back with the next beat, and counts nowhere.
    one, other = bench.lease(), bench.lease()
    bench.beat("p1", oldest=3)
    assert running(bench) == 2
    assert {job.failures + job.interruptions for job in bench.look().values()} == {0}

    endings = [succeeded(other, b"1")]
    unknown(lossy, store.finish([succeeded(one, b"1")]), store.finish(endings))
    assert bench.finish(*endings) == {other}
    states = [job.state for job in bench.look().values()]
    assert sorted(states) == [JobState.AVAILABLE, *[JobState.SUCCEEDED] * 3]


def lost_replies(lossy: Lossy, name: str, *, every: bool) -> Iterator[str]:
    """Carry out an operation once for each of its messages, or some, without the reply to it."""
    bench = lossy.bench
    answer = lossy.lose(lossy.prepare(name), 1_000_000)
    done = view(bench, marks=False)
    numbers = range(1, lossy.messages + 1)
    hits = 0
    for number in numbers if every else {len(numbers), 1 + len(name) % len(numbers)}:
        again = lossy.lose(lossy.prepare(name), number)
        hits += lossy.hit
        if view(bench, marks=False) != done:
            yield f"{name} did something else when reply {number} was lost"
        if name in ANSWERED_AGAIN and again != answer:
            yield f"{name} answered {again} when reply {number} was lost, not {answer}"
    if not hits:
        yield f"{name} lost no reply"


def unknown(lossy: Lossy, like: Operation[Any], op: Operation[Any]) -> None:
    """Carry out an operation of whose last message its caller hears nothing.

    How many it has is learnt from one that is like it; the next may have fewer.
    """
    lossy.lose(like, 1_000_000)
    for number in range(lossy.messages, 0, -1):
        try:
            lossy.lose(op, number)
        except StoreUnavailable:
            return
    pytest.fail("no reply was lost")


def running(bench: Bench) -> int:
    return sum(job.state is JobState.RUNNING for job in bench.look().values())
