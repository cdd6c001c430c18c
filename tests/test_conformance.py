"""The stores of this repository pass the suite that every store must pass, and their own tests."""

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from longshore.core.limits import Limit, Rules
from longshore.core.model import JobState
from longshore.core.schedules import CatchUp
from longshore.core.store import Filter, Retention
from longshore.errors import LongshoreError, StoreBusy
from longshore.stores.sqlite.store import SQLiteStore
from longshore.testing.conformance import Bench, OpenStore, StoreConformance
from longshore.testing.conformance.bench import HOUR, LEASE, MINUTE
from longshore.testing.conformance.faults import WRITES, FaultConformance
from longshore.testing.conformance.living import LifeConformance
from longshore.testing.conformance.planning import due, fire, hourly
from longshore.testing.conformance.restraint import limited
from longshore.testing.conformance.trace import TraceConformance
from tests.places import MYSQL, REDIS
from tests.store_tools import driven
from tests.stores import OPEN, open_memory, open_sqlite


class StoreOfOneMachine:
    """For stores whose leases count on the clock since boot, and which hear of every commit."""

    def test_a_wait_ends_when_a_job_arrives(self, bench: Bench) -> None:
        watch = bench.store.watch()
        watch.wait(0)
        bench.add()
        assert watch.wait(20)
        heard: list[bool] = []
        waiter = threading.Thread(target=lambda: heard.append(watch.wait(20)))
        waiter.start()
        bench.add()
        waiter.join(20)
        assert heard == [True]
        watch.close()

    def test_a_wait_ends_when_a_tick_has_fired(self, bench: Bench) -> None:
        hourly(bench, CatchUp.ONE)
        watch = bench.store.watch()
        watch.wait(0)
        bench.pass_time(HOUR)
        fire(bench, due(bench))
        assert watch.wait(20)
        watch.close()

    @pytest.mark.parametrize("jump", [HOUR, -HOUR])
    def test_a_lease_does_not_mind_a_jump_of_the_wall(self, bench: Bench, jump: int) -> None:
        (job,) = bench.add()
        bench.process()
        lease = bench.lease()
        bench.clock.set_wall(bench.now + jump)
        assert bench.claim("p1").live
        assert bench.rescue().leases == ()
        bench.pass_time(LEASE + 1)
        assert not bench.claim("p1").live
        assert bench.rescue().leases == (lease,)
        assert bench.state(job) is JobState.AVAILABLE

    def test_a_leader_does_not_mind_a_jump_of_the_wall(self, bench: Bench) -> None:
        for process in ("p1", "p2"):
            bench.process(process, lease=HOUR)
        bench.do(bench.store.elect("p1", LEASE))
        bench.clock.set_wall(bench.now + 2 * HOUR)
        assert not bench.do(bench.store.elect("p2", LEASE))
        bench.clock.set_wall(bench.now - 4 * HOUR)
        bench.pass_time(LEASE + 1)
        assert bench.do(bench.store.elect("p2", LEASE))


class TestMemoryStore(StoreConformance, StoreOfOneMachine):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return open_memory(tmp_path)


class TestSQLiteStore(StoreConformance, StoreOfOneMachine):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return open_sqlite(tmp_path)

    def test_no_lease_outlives_the_boot(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process(lease=HOUR)
        lease = bench.lease()
        bench.do(bench.store.elect("p1", HOUR))
        bench.clock.reboot()
        assert not bench.claim("p1").live
        assert bench.beat("p1").lost == {"p1"}
        bench.process("p2")
        assert bench.do(bench.store.elect("p2", LEASE))
        # It needs no second look: nothing outlived the boot.
        assert bench.rescue(patience=MINUTE).leases == (lease,)
        assert bench.state(job) is JobState.AVAILABLE

    def test_no_doubt_outlives_the_boot(self, bench: Bench) -> None:
        bench.add()
        bench.process()
        lease = bench.lease()
        bench.pass_time(LEASE + 1)
        assert bench.rescue(patience=MINUTE).withheld == 1
        bench.clock.reboot()
        assert bench.rescue(patience=MINUTE).leases == (lease,)


class StoreOnAServer:
    """For stores that many machines share; each class names its server."""

    kind = ""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return OPEN[self.kind](tmp_path)


#: How each store on a server is driven through every behaviour. PgBouncer stands before
#: PostgreSQL 16, so that its statements meet them all too.
WAYS = {
    "postgres18": "blocking",
    "pgbouncer": "awaiting",
    "mariadb": "blocking",
    "redis": "blocking",
    "valkey": "awaiting",
    "redis-cluster": "awaiting",
}


def on(kind: str) -> type:
    """The class of tests for the store on one kind of server."""
    members = {"kind": kind, "bench": driven(WAYS[kind])}
    return pytest.mark.servers(type(class_name(kind), (StoreOnAServer, StoreConformance), members))


def class_name(kind: str) -> str:
    return "Test" + kind.title().replace("-", "")


TestPostgres18, TestPgBouncer = map(on, ("postgres18", "pgbouncer"))
(TestMariaDB,) = map(on, MYSQL)
TestRedis, TestValkey, TestRedisCluster = map(on, REDIS)


class EachOperation(TraceConformance, FaultConformance, LifeConformance):
    """Every operation on a driver that shares all its statements with one above.

    Operations do not know who drives them (docs/adr/0001), so that this tells all that a driver can
    do wrong; `faults/test_conformance.py` takes these ways through every behaviour.
    """


@pytest.mark.servers
class TestPostgres16Directly(StoreOnAServer, EachOperation):
    kind = "postgres16"
    bench = driven("awaiting")


@pytest.mark.servers
class TestMariaDBAwaiting(StoreOnAServer, EachOperation):
    kind = "mariadb"
    bench = driven("awaiting")


class TestSQLiteFileWithOthers:
    """One file, several who write."""

    @pytest.mark.parametrize("name", WRITES)
    def test_nobody_writes_between_a_read_and_the_write_it_leads_to(
        self, name: str, tmp_path: Path
    ) -> None:
        probe = Probe()
        bench = Bench(open_sqlite(tmp_path), awaiting=False).open(on_statement=probe)
        op = WRITES[name](bench)
        probe.watch(op.name, bench.store.address)
        bench.do(op)
        probe.close()
        bench.close()
        assert probe.committed == ["held"] * len(probe.committed)
        assert len(probe.committed) > 1, "some statement, then the commit"

    def test_who_finds_the_file_held_waits_for_it(self, tmp_path: Path) -> None:
        store = SQLiteStore(str(tmp_path / "jobs.db"))
        store.migrate()
        job = Bench(open_memory(tmp_path), awaiting=False).new()
        answers: list[object] = []
        writer = threading.Thread(target=lambda: answers.append(outcome(store, job)))
        with held(store.address):
            writer.start()
            writer.join(0.1)
            # Reading waits for nobody.
            assert store.run(store.find(Filter(), limit=1)).records == ()
        writer.join(20)
        assert answers == ["written"]
        assert store.run(store.get([job.id])).keys() == {job.id}
        store.close()

    def test_after_its_patience_a_store_says_that_others_hold_the_file(
        self, tmp_path: Path
    ) -> None:
        store = SQLiteStore(str(tmp_path / "jobs.db"), patience=0.05)
        store.migrate()
        job = Bench(open_memory(tmp_path), awaiting=False).new()
        with held(store.address), pytest.raises(StoreBusy):
            store.run(store.insert([job]))
        assert store.run(store.get([job.id])) == {}
        store.close()

    @pytest.mark.parametrize("rules", [None, limited(Limit("account", "7", 4))], ids=["", "limit"])
    def test_processes_that_drain_one_file_share_every_job_once(
        self, tmp_path: Path, rules: Rules | None
    ) -> None:
        path = str(tmp_path / "jobs.db")
        store = SQLiteStore(path, synchronous="normal", retention=Retention(), clock=None)
        store.migrate()
        maker = Bench(open_memory(tmp_path), awaiting=False)
        new = [maker.new(rules=rules) for _ in range(600)]
        store.run(store.insert(new))
        command = [sys.executable, "-c", DRAIN, path]
        drains = [
            subprocess.Popen(
                [*command, f"p{number}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(3)
        ]
        said = [drain.communicate(timeout=50) for drain in drains]
        assert [drain.returncode for drain in drains] == [0, 0, 0], said
        ran = [job_id for out, _ in said for job_id in json.loads(out)]
        assert sorted(ran) == [job.id for job in new]
        counted = store.run(store.count(Filter()))
        assert [(c.state, c.jobs) for c in counted if c.jobs] == [(JobState.SUCCEEDED, 600)]
        store.close()


class Probe:
    """Notes before each statement of an operation whether another connection could write."""

    def __init__(self) -> None:
        self.operation = ""
        self.attempt: list[str] = []
        self.committed: list[str] = []

    def watch(self, operation: str, path: str) -> None:
        self.operation = operation
        self.other = sqlite3.connect(path, timeout=0, isolation_level=None)

    def close(self) -> None:
        self.other.close()

    def __call__(self, operation: str, number: int) -> None:
        if operation != self.operation:
            return
        if number == 1:  # an operation that only looks begins again when it has to write
            self.attempt = []
        try:
            self.other.execute("begin immediate")
        except sqlite3.OperationalError:
            self.attempt.append("held")
        else:
            self.other.execute("rollback")
            self.attempt.append("free")
        if number == 0:
            self.committed = self.attempt


@contextmanager
def held(path: str) -> Iterator[None]:
    """Somebody else writes to the file all the time."""
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    other.execute("begin immediate")
    try:
        yield
    finally:
        other.execute("rollback")
        other.close()


def outcome(store: SQLiteStore, job) -> str:
    try:
        store.run(store.insert([job]))
    except LongshoreError as error:
        return repr(error)
    return "written"


#: A worker without its frills: claims, reports and claims again until nothing is left.
DRAIN = """
import json, sys
from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import ClaimRequest, Filter, Line, NewProcess
from longshore.stores.sqlite.store import SQLiteStore

WAITING = Filter(states=frozenset({JobState.AVAILABLE}))
path, name = sys.argv[1:]
store = SQLiteStore(path, synchronous="normal")
store.run(store.register(NewProcess(
    id=name, app="app", name=name, host="host", pid=1, lease=60_000_000, queues=("*",),
    kinds=("app.job",), slots=5, embedded=False,
)))
ran, endings, number = [], [], 0
while True:
    number += 1
    request = ClaimRequest(name, number, 5, (Line(("*",)),))
    answer = store.run(store.exchange(endings, request))
    assert answer.claim.live and len(answer.held) == len(endings)
    assert all(limit.used <= limit.to for limit in store.run(store.limits()))
    if not answer.claim.jobs and not store.run(store.find(WAITING, limit=1)).records:
        break
    ran += [job.id for job in answer.claim.jobs]
    endings = [
        Ending(Lease(job.id, name, job.run), JobState.SUCCEEDED) for job in answer.claim.jobs
    ]
print(json.dumps(ran))
store.close()
"""
