"""The stores of this repository pass the suite that every store must pass, and what is their own."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.core.model import JobState
from longshore.core.store import Retention
from longshore.stores.clock import ManualClock
from longshore.stores.sqlite import SQLiteStore
from longshore.testing.conformance import Bench, OpenStore, StoreConformance
from longshore.testing.conformance.bench import HOUR, LEASE, SECOND
from longshore.testing.conformance.faults import WRITES
from tests.stores import open_memory, open_sqlite


class LeasesOfOneMachine:
    """For stores whose leases count on the clock since boot, not on the wall."""

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


class TestMemoryStore(StoreConformance, LeasesOfOneMachine):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return open_memory(tmp_path)


class TestSQLiteStore(StoreConformance, LeasesOfOneMachine):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return open_sqlite(tmp_path)

    def test_no_lease_outlives_the_machine(self, bench: Bench) -> None:
        (job,) = bench.add()
        bench.process(lease=HOUR)
        lease = bench.lease()
        bench.do(bench.store.elect("p1", HOUR))
        bench.clock.reboot()
        assert not bench.claim("p1").live
        assert bench.beat("p1").lost == {"p1"}
        bench.process("p2")
        assert bench.do(bench.store.elect("p2", LEASE))
        assert bench.rescue().leases == (lease,)
        assert bench.state(job) is JobState.AVAILABLE
