"""What work costs on a SQLite file: instructions of its machine, statements, plans."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.core.limits import Limit, Rules
from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import (
    Beat,
    ClaimRequest,
    Line,
    ProcessBeat,
    SetQueue,
)
from longshore.stores.sql.statements import Queries
from longshore.stores.sqlite import pool
from longshore.stores.sqlite.store import SQLiteStore
from tests.store_tools import claim, job, register


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "jobs.db")


@pytest.fixture
def store(path: str) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(path, synchronous="normal")
    yield opened
    opened.close()


def steps(store: SQLiteStore, work: object) -> int:
    """How many hundreds of instructions of SQLite's machine some work takes."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    connection = store._pool.take()
    connection.set_progress_handler(step, 100)
    store._pool.give_back(connection, healthy=True)
    assert callable(work)
    work()
    connection = store._pool.take()
    connection.set_progress_handler(None, 100)
    store._pool.give_back(connection, healthy=True)
    return count


@pytest.mark.parametrize(
    "line", [Line(("*",)), Line(("a", "b", "c")), Line(("*",), excludes=("big",))]
)
def test_a_paused_queue_costs_a_claim_nothing(store: SQLiteStore, line: Line) -> None:
    register(store)
    ready = [job(queue=queue, priority=9).id for queue in ("a", "b")]
    store.run(store.insert([job(id=id_, queue=q) for id_, q in zip(ready, "ab", strict=True)]))
    store.run(store.set_queue(SetQueue("big", paused=True)))
    few = steps(store, lambda: claim(store, 1, 1, lines=(line,)))
    store.run(store.insert([job(queue="big", priority=-1) for _ in range(5_000)]))
    many = steps(store, lambda: claim(store, 2, 1, lines=(line,)))
    assert many <= few + 5
    assert store.run(store.get(ready))[ready[1]].state is JobState.RUNNING


def test_what_has_ended_costs_a_claim_nothing(store: SQLiteStore) -> None:
    register(store)
    store.run(store.insert([job() for _ in range(2)]))
    few = steps(store, lambda: claim(store, 1, 1))
    ended = [job(queue="other") for _ in range(3_000)]
    store.run(store.insert(ended))
    store.run(store.cancel([new.id for new in ended], None))
    many = steps(store, lambda: claim(store, 2, 1))
    assert many <= few + 5


def test_those_who_wait_for_a_limit_cost_a_claim_nothing(store: SQLiteStore) -> None:
    register(store)
    limited = Rules(limits=(Limit("account", "7", to=1),))
    store.run(store.insert([job(rules=limited, priority=-1), job(), job()]))
    few = steps(store, lambda: claim(store, 1, 2))
    store.run(store.insert([job(rules=limited, priority=-1) for _ in range(3_000)]))
    for number in range(2, 6):  # each marks a thousand at most
        claim(store, number, 1, lines=(Line(("default",)),))
    store.run(store.insert([job(), job()]))
    many = steps(store, lambda: claim(store, 9, 2))
    assert many <= few + 5


def test_a_plain_job_costs_no_statement_more_for_what_others_have(path: str) -> None:
    made: list[str] = []
    store = SQLiteStore(path, synchronous="normal", on_statement=lambda name, _: made.append(name))
    register(store)
    made.clear()
    store.run(store.insert([job()]))
    (lease,) = store.run(store.claim(ClaimRequest("p", 1, 1, (Line(("default",)),)))).jobs
    done = Ending(Lease(lease.id, "p", lease.run), JobState.SUCCEEDED)
    assert store.run(store.finish([done])) == {done.lease}
    store.close()
    # The number 0 of each commit is among them; the claim looks twice, to read and to write.
    assert {name: made.count(name) for name in made} == {"insert": 3, "claim": 14, "finish": 5}


#: Queries that a person asks and that may read along a whole table.
READ_ALONG = frozenset({"find_job_newest", "find_job_oldest", "find_ended_newest"}) | {
    *("find_ended_oldest", "count_ended", "processes", "idle_processes", "leases", "prune_counts"),
    *("pauses", "ready_parked", "migrations", "migration_table_there"),
    # These are as long as people have made them.
    *("restraints", "kinds", "settings", "schedules"),
}


#: Parameters that are lists.
LISTS = (
    *("ids", "queues", "kinds", "states", "rowids"),
    *("keys", "identities", "rates", "values", "levels"),
)


def test_no_query_reads_along_a_table_or_sorts_what_it_need_not(store: SQLiteStore) -> None:
    store.migrate()
    connection = store._open()
    sorting = {
        "claimed_again",
        "count_parked",
        "count_ready",
        "count_running",
        "count_timed",
        "leased_alike",
        "ready_ids",
        "ready_parked",
        "find_few_newest",
        "find_few_oldest",
        "find_identity_newest",
        "find_identity_oldest",
        "count_blocked",
        "count_identity",
        "ledger",
        "queue_heads",
        "limit_keys",
    }
    for query in Queries("sqlite", "longshore_"):
        if query.name in {"migration_table", *READ_ALONG}:
            continue
        numbers = [int(number) for number in re.findall(r"\?([0-9]+)", query.text)]
        names = dict.fromkeys(re.findall(r":([a-z_]+)", query.text), 1)
        lists = dict.fromkeys(LISTS, "[]")
        values = [None] * max(numbers) if numbers else {**names, **lists}
        plan = [row[3] for row in connection.execute(f"explain query plan {query.text}", values)]
        # Lists that were given, and what a recursive query has found, are read along.
        given = re.compile(
            r"SCAN (?!e\b|q |found|picked|slot|start|blocked|CONSTANT|\(subquery|json_each)"
        )
        scans = [line for line in plan if given.match(line) and "USING" not in line]
        assert not scans, (query.name, plan)
        if query.name not in sorting:
            assert not any("TEMP B-TREE" in line for line in plan), (query.name, plan)
    connection.close()


def test_a_claim_that_finds_nothing_is_no_news(store: SQLiteStore) -> None:
    register(store)
    watch = store.watch()
    watch.wait(0)
    assert claim(store) == []
    store.run(store.beat(Beat((ProcessBeat("p", 0),))))
    assert not watch.wait(0.02)
    watch.close()


def test_a_watch_looks_more_often_while_others_write_again_and_again(store: SQLiteStore) -> None:
    """A job that comes a moment after another is not waited for as long as one in a quiet hour."""
    store.run(store.insert([job()]))
    watch = store.watch()
    assert watch.wait(0), "the first look"
    # One write alone is mostly a beat, and there is one of these every few seconds for ever.
    assert watch.pause(time.monotonic()) == pool.LOOK_AT_REST
    store.run(store.insert([job()]))
    assert watch.wait(20)
    now = time.monotonic()
    assert watch.pause(now) == pool.LOOK_EVERY
    assert watch.pause(now + pool.MOMENT) == pool.LOOK_AT_REST
    # What nobody has written does not prolong it.
    assert not watch.wait(0.02)
    assert watch.pause(now + pool.MOMENT) == pool.LOOK_AT_REST
    store.run(store.insert([job()]))
    assert watch.wait(20)
    assert watch.pause(now + pool.MOMENT) == pool.LOOK_EVERY
    watch.close()
