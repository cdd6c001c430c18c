"""A reply that is lost on its way, at every message of every operation that writes.

The server has done what it was asked, or not; who asked does not know. The store asks again with
the same request, or says so and its caller does: nothing may happen twice, and nothing be missing.
"""

import inspect
import itertools
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
    Scheduling,
    Store,
)
from longshore.errors import StoreUnavailable
from longshore.testing.conformance.bench import Bench, succeeded
from longshore.testing.conformance.faults import ANSWERED_AGAIN, WRITES, comparable, view
from tests.fault_proxy import FaultProxy
from tests.fault_tools import line_to, over
from tests.places import each

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
    "kinds": lambda store: store.kinds(),
    "limits": lambda store: store.limits(),
    "bundles": lambda store: store.bundles(),
    "members": lambda store: store.members("x"),
    "processes": lambda store: store.processes(),
    "identity": lambda store: store.identity(),
    "schedules": lambda store: store.schedules(),
    "ticks": lambda store: store.ticks("x", limit=1),
}


@pytest.fixture
def line(kind: str) -> Iterator[FaultProxy]:
    with line_to(kind) as line:
        yield line


@pytest.fixture
def bench(line: FaultProxy, kind: str, request: pytest.FixtureRequest) -> Iterator[Bench]:
    awaiting = request.node.callspec.params.get("awaiting", False)
    bench = Bench(over(line, kind), awaiting=awaiting)
    yield bench
    bench.close()


@pytest.mark.parametrize("kind", each("valkey"))
def test_every_operation_of_the_seam_loses_its_replies_here(bench: Bench) -> None:
    seam = {
        name
        for part in (Producing, Consuming, Maintaining, Inspecting, Scheduling)
        for name, _ in inspect.getmembers(part, inspect.isfunction)
        if not name.startswith("_")
    }
    written = {prepared(bench, name).name for name in WRITES}
    assert written | READS.keys() == seam
    assert [name for name, read in READS.items() if read(bench.store).writes] == []


@pytest.mark.parametrize(
    ("kind", "awaiting"),
    [
        *(pytest.param(kind, False, marks=pytest.mark.servers, id=kind) for kind in SERVERS),
        pytest.param("valkey", True, marks=pytest.mark.servers, id="valkey-awaiting"),
    ],
)
def test_a_request_whose_reply_is_lost_is_carried_out_once(
    bench: Bench, line: FaultProxy, awaiting: bool
) -> None:
    wrong = [said for name in WRITES for said in lost_replies(bench, line, name)]
    assert wrong == []


@pytest.mark.parametrize("kind", each(*SERVERS))
def test_who_is_told_that_the_store_is_away_may_ask_again_or_forget(
    bench: Bench, line: FaultProxy
) -> None:
    vars(bench.store)["_patience"] = vars(bench.store)["patience"] = 0.0
    new = [bench.new() for _ in range(3)]
    lose(bench, line, bench.store.insert(new))
    assert [answer.duplicate for answer in bench.do(bench.store.insert(new))] == [True] * 3

    bench.process()
    lose(bench, line, bench.store.claim(bench.request("p1", 1, claim_id=1)))
    (first,) = bench.leases("p1", 1)  # claim 2: the first was forgotten
    assert [record.state for record in bench.look().values()].count(JobState.RUNNING) == 2
    bench.beat("p1", oldest=2)
    assert [job.run for job in bench.look().values()].count(1) == 2
    assert [job.state for job in bench.look().values()].count(JobState.RUNNING) == 1

    endings = [succeeded(first, b"1")]
    lose(bench, line, bench.store.finish(endings))
    assert bench.do(bench.store.finish(endings)) == {first}
    assert len(bench.look()) == 3


def prepared(bench: Bench, name: str) -> Operation[Any]:
    """An operation with much to do, in a new store."""
    bench.close()
    bench.open()
    bench.watching = False
    return WRITES[name](bench)


def lost_replies(bench: Bench, line: FaultProxy, name: str) -> Iterator[str]:
    """Carry out an operation as often as it has messages, each time without another reply."""
    answer = comparable(bench.drive(prepared(bench, name)))
    done = view(bench, marks=False)
    for number in itertools.count(1):
        op = prepared(bench, name)
        line.drop_reply(number)
        again = comparable(bench.drive(op))
        hit = line.hit
        line.heal()
        if not hit:
            break
        if view(bench, marks=False) != done:
            yield f"{name} did something else when reply {number} was lost"
        if name in ANSWERED_AGAIN and again != answer:
            yield f"{name} answered {again} when reply {number} was lost, not {answer}"
    if number == 1:
        yield f"{name} lost no reply"


def lose(bench: Bench, line: FaultProxy, op: Operation[Any]) -> None:
    """Carry out an operation of which its caller hears nothing."""
    line.drop_reply()
    with pytest.raises(StoreUnavailable):
        bench.drive(op)
    assert line.hit
