"""Shards in memory that go out of reach when they are told to."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from longshore.core.model import Lease
from longshore.core.shards import named, shard_of
from longshore.core.store import (
    ClaimRequest,
    Operation,
)
from longshore.errors import (
    StoreUnavailable,
)
from longshore.stores.clock import ManualClock
from longshore.stores.memory.store import MemoryStore
from longshore.stores.sharded.store import ShardedStore
from tests.store_tools import EVERYTHING, job, register

SHARDS = 3


class Flaky(MemoryStore):
    """A store that is out of reach when it is told to be."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.down = False
        self.visits: list[str] = []

    def run(self, op: Operation[Any], /) -> Any:
        self.visits.append(op.name)
        if self.down:
            raise StoreUnavailable("no route to host")
        return super().run(op)


class Spread:
    """Shards in memory, and jobs that go where the test wants them."""

    def __init__(self, count: int = SHARDS) -> None:
        self.clock = ManualClock()
        self.shards = [Flaky(clock=self.clock) for _ in range(count)]
        self.store = ShardedStore(self.shards)
        self.claims = 0

    def run(self, op: Operation[Any]) -> Any:
        return self.store.run(op)

    def insert(self, shard: int, count: int = 1, **fields: Any) -> list[str]:
        now = self.clock.now()
        given = {"shard_key": key_of(shard, len(self.shards)), "fresh": True, "scheduled_at": now}
        new = [job(**given, **{"created_at": now, **fields}) for _ in range(count)]
        placed = [self.store.placing.placed(one) for one in new]
        self.run(self.store.insert(placed))
        assert [named(one.id, len(self.shards)) for one in placed] == [shard] * count
        return [one.id for one in placed]

    def claim(self, wanted: int = 10, process: str = "p", lines=EVERYTHING) -> list[Any]:
        self.claims += 1
        return list(
            self.run(self.store.claim(ClaimRequest(process, self.claims, wanted, lines))).jobs
        )

    def fall(self, shard: int) -> None:
        self.shards[shard].down = True
        self.run(self.store.promote(1))
        assert self.store.reach.down.keys() == {shard}

    def rise(self, shard: int) -> None:
        self.shards[shard].down = False
        deadline = threading.Event()
        for _ in range(2_000):
            if not self.store.reach.down:
                return
            deadline.wait(0.005)
        pytest.fail("a shard that answers again was not noticed")


def key_of(shard: int, shards: int) -> str:
    return next(key for key in map(str, itertools.count()) if shard_of(key, shards) == shard)


def leases(jobs: list[Any], process: str = "p") -> list[Lease]:
    return [Lease(one.id, process, one.run) for one in jobs]


@pytest.fixture
def spread() -> Iterator[Spread]:
    """Several shards in memory, and a process that is registered in each."""
    made = Spread()
    register(made.store)
    yield made
    made.store.close()
