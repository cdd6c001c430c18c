"""A batch of three thousand and a workflow of five hundred while workers fail, die and are killed.

The workers are threads that play them, so that every store is here; the batch of ten thousand with
processes is among the long programmes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longshore.core.batches import Sort
from longshore.core.limits import Rules
from longshore.core.model import JobState, Lease
from longshore.core.store import Filter, Retention
from longshore.stores.clock import ManualClock
from tests.bundles_tools import Storm, graph, recount, together
from tests.stores import OPEN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STORES = [
    pytest.param(kind, marks=[] if kind in {"memory", "sqlite"} else [pytest.mark.servers])
    for kind in ("memory", "sqlite", "postgres18", "mariadb", "valkey")
]
MEMBERS = 3_000
LATE = 300
SAMPLES = 100


@pytest.fixture(params=STORES)
def storm(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    clock = ManualClock()
    store = OPEN[request.param](tmp_path)(clock=clock, retention=Retention())
    made = Storm(store, clock, seed=7)
    yield made
    made.stop.set()
    store.close()


def wait(storm: Storm, over: Callable[[], bool]) -> None:
    while not over() and not storm.stop.is_set():
        time.sleep(0.02)
    assert not storm.errors, storm.errors


def test_three_thousand_members_are_counted_whatever_happens(storm: Storm) -> None:
    store, new = storm.store, storm.batch()
    first = [storm.new(Rules(bundles=(new.id,))) for _ in range(MEMBERS - LATE)]
    store.run(store.insert(first, together(new)))
    # On a slow machine all the others may be over before anybody comes to cancel some.
    store.run(store.cancel([first[0].id], "enough"))
    late: list[str] = []

    def add(lease: Lease, rng: random.Random) -> None:
        if rng.random() < 0.06 and len(late) < LATE:
            more = [storm.new(Rules(bundles=(new.id,))) for _ in range(5)]
            if not store.run(store.insert(more, together(lease=lease)))[0].conflict:
                late.extend(job.id for job in more)

    threads = storm.threads(3, lambda rng: storm.work(rng, add, deaths=0.02))
    samples = 0
    while samples < SAMPLES:
        written, counted = recount(store, new.id)
        assert written == counted
        samples += 1
        # Somebody cancels some, and retries some of the dead.
        some = store.run(store.members(new.id, live=True, limit=2000))
        store.run(store.cancel(storm.random.sample(some, min(2, len(some))), "enough"))
        dead = store.run(store.find(Filter(states=frozenset({JobState.DEAD})), limit=3)).records
        if samples % 3 == 0:
            store.run(store.retry([job.id for job in dead]))
        storm.stop.wait(0.02)
        assert not storm.errors, storm.errors
    wait(storm, lambda: recount(store, new.id)[0][3] == 0)
    storm.stop.set()
    for thread in threads:
        thread.join(30)
    assert not storm.errors, storm.errors
    (read,) = store.run(store.bundles([new.id]))
    written, counted = recount(store, new.id)
    assert written == counted == [read.succeeded, read.cancelled, read.dead, 0]
    assert read.total == len(first) + len(late)
    assert read.finished_at is not None
    assert min(storm.met["killed"], storm.met["dead"], storm.met["retrying"], len(late)) > 0
    calls = store.run(store.find(Filter(queues=("callbacks",)), limit=10)).records
    # Some were cancelled, so that there is no success to tell of.
    assert read.cancelled > 0
    assert sorted(job.kind for job in calls) == ["on_complete", "on_death"]


def test_five_hundred_nodes_run_in_the_order_of_their_dependencies(storm: Storm) -> None:
    store, flow = storm.store, storm.batch(Sort.WORKFLOW)
    nodes = graph(storm, flow, 500)
    store.run(store.insert(nodes, together(flow)))
    before = {job.id: [one.job_id for one in (job.rules or Rules()).after] for job in nodes}

    def look(lease: Lease, _: random.Random) -> None:
        found = store.run(store.get(before[lease.job_id]))
        assert {one.state for one in found.values()} <= {JobState.SUCCEEDED}

    threads = storm.threads(3, lambda rng: storm.work(rng, look, deaths=0.03))
    retried = 0
    while not storm.stop.is_set():
        (read,) = store.run(store.bundles([flow.id]))
        assert read.total == 500
        if read.finished_at is not None and not read.dead:
            break
        dead = store.run(store.find(Filter(states=frozenset({JobState.DEAD})), limit=10)).records
        retried += len(store.run(store.retry([job.id for job in dead])).changed)
        storm.stop.wait(0.02)
    storm.stop.set()
    for thread in threads:
        thread.join(30)
    assert not storm.errors, storm.errors
    assert retried > 0
    assert storm.met["killed"] > 0
    done = store.run(store.get([job.id for job in nodes]))
    for node in nodes:
        record = done[node.id]
        assert record.state is JobState.SUCCEEDED
        rules = record.rules
        assert rules is not None
        for after in rules.after:
            parent = done[after.job_id]
            if after.takes:
                assert parent.result is not None
                assert parent.result in record.payload
        assert b"longshore:output" not in record.payload
    calls = store.run(store.find(Filter(queues=("callbacks",)), limit=10)).records
    assert sorted(job.kind for job in calls) == ["on_complete", "on_death", "on_success"]
