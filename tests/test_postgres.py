"""A PostgreSQL database: what is sent, plans, days of history, counts.

What every store must do alike is in the conformance suite.
"""

import contextlib
import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import (
    ClaimRequest,
    Filter,
    Line,
    Retention,
    drive,
)
from longshore.core.store_url import parse_url
from longshore.ids import new_id
from longshore.stores.clock import ManualClock
from longshore.stores.postgres import operations
from longshore.stores.postgres.core import DAY
from longshore.stores.postgres.exchange import _line
from longshore.stores.postgres.execute import execute
from longshore.stores.postgres.marks import EVERYTHING as FRONT
from longshore.stores.postgres.store import PostgresStore
from tests import postgres_tools
from tests.places import Place, postgres
from tests.postgres_tools import exchange, id_of, kill_others, leases
from tests.store_tools import EVERYTHING, claim, job, register

pytestmark = pytest.mark.servers

where = postgres_tools.where
store = postgres_tools.store
look = postgres_tools.look


# --- what is sent ---


def test_the_common_calls_are_one_statement(where: Place) -> None:
    said: list[tuple[str, int]] = []
    store = PostgresStore(where.url, on_statement=lambda name, number: said.append((name, number)))
    register(store)
    said.clear()
    # Ends that follow each other sooner are told apart: tests/test_postgres_waiting.py.
    store._told_end = float("-inf")
    store.run(store.insert([job(fresh=True)]))
    store.run(store.insert([job(fresh=True), job(fresh=True)]))
    first = store.run(store.claim(ClaimRequest("p", 1, 1, EVERYTHING)))
    second = exchange(store, 2, 1, leases(first))
    store._told_end = float("-inf")
    third = exchange(store, 3, 1, leases(second.claim))
    store._told_end = float("-inf")
    held = store.run(
        store.finish([Ending(lease, JobState.SUCCEEDED) for lease in leases(third.claim)])
    )
    assert len(first.jobs) == len(second.held) == len(third.held) == len(held) == 1
    names = ("insert", "insert", "claim", "exchange", "exchange", "finish")
    assert said == [(name, number) for name in names for number in (1, 0)]
    store.run(store.get([new_id()]))
    assert said[-1] == ("get", 1)
    store.close()


def test_the_only_queue_there_is_is_served_only_if_asked_for(store: PostgresStore) -> None:
    register(store)
    new = job(queue="reports")
    store.run(store.insert([new]))
    for number, line in enumerate((Line(("mail*",)), Line(("mail",)), Line(("*",), ("rep*",)))):
        assert claim(store, number, lines=(line,)) == []
    assert claim(store, 9, lines=(Line(("rep*",)),)) == [new.id]


def test_many_queues_are_not_named_first_when_a_look_at_them_is_old(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[bool] = []
    look = store._look

    def looked(request: ClaimRequest, *, any_: bool = True) -> Any:
        named.append(any_)
        return look(request, any_=any_)

    monkeypatch.setattr(store, "_look", looked)
    register(store)
    first = [job(queue=f"q{number:03}") for number in range(100)]
    store.run(store.insert(first))
    ids = [one.id for one in first]
    assert claim(store, 1, 30) == ids[:30]
    store.known[EVERYTHING[0]].forget()
    urgent = job(queue="new", priority=-1)
    store.run(store.insert([urgent]))
    assert claim(store, 2, 10) == [urgent.id, *ids[30:39]]
    store.known[EVERYTHING[0]].forget()
    # So few are left that they are not remembered any more, and all are named.
    assert claim(store, 3, 30) == ids[39:69]
    assert EVERYTHING[0] not in store.known
    assert claim(store, 4, 30) == ids[69:99]
    assert named == [True, False, False, True]


def test_many_jobs_are_stored_at_once(store: PostgresStore) -> None:
    many = [job(tags=("a\tb\\", "ü"), payload='{"é\\n":"\\\\"}'.encode()) for _ in range(1000)]
    answers = store.run(store.insert(many))
    assert not any(answer.duplicate for answer in answers)
    assert store.run(store.get([many[7].id]))[many[7].id].tags == ("a\tb\\", "ü")
    assert store.run(store.get([many[7].id]))[many[7].id].payload == many[7].payload
    again = store.run(store.insert([*many, new := job()]))
    assert [answer.duplicate for answer in again] == [True] * 1000 + [False]
    assert store.run(store.get([new.id]))


def test_an_insert_repeated_after_a_lost_reply_finds_a_job_that_has_ended(
    where: Place, look: psycopg.Connection[Any]
) -> None:
    new = job(fresh=True)
    calls = 0

    def hook(name: str, number: int) -> None:
        nonlocal calls
        if name == "insert" and number == 1:
            calls += 1
            if calls == 1:
                other = PostgresStore(where.url)
                register(other)
                other.run(other.insert([new]))
                (lease,) = leases(other.run(other.claim(ClaimRequest("p", 1, 1, EVERYTHING))))
                other.run(other.finish([Ending(lease, JobState.SUCCEEDED)]))
                other.close()
                kill_others(look)
                raise psycopg.OperationalError("the connection was lost")

    store = PostgresStore(where.url, on_statement=hook)
    (answer,) = store.run(store.insert([new]))
    assert answer.duplicate
    assert store.run(store.get([new.id]))[new.id].state is JobState.SUCCEEDED
    store.close()


def test_transactions_that_enqueue_do_not_wait_for_each_other(
    store: PostgresStore, where: Place
) -> None:
    store.migrate()
    first, second = (postgres(parse_url(where.url)) for _ in range(2))
    with contextlib.closing(first), contextlib.closing(second):
        for connection in (first, second):
            connection.execute("begin; set local lock_timeout = '1ms'")
            # Many and one, as the store's own calls and as those in another's transaction.
            for jobs in ([job()], [job(), job()], [job(fresh=True) for _ in range(300)]):
                op = store.insert(jobs)
                assert len(drive(op, lambda sent, c=connection: over(c, sent))) == len(jobs)
        assert store.run(store.find(Filter(), limit=1)).records == ()
        first.execute("commit")
        second.execute("commit")
    assert sum(counted.jobs for counted in store.run(store.count(Filter()))) == 606


def over(connection: psycopg.Connection[Any], statement: Any) -> Any:
    """One statement of an operation over a connection that is not the store's."""
    if statement.query.name == "repeated":
        return False
    return execute(connection.cursor(), statement)


# --- plans ---


def plan(
    cursor: psycopg.Cursor[Any], text: str, params: Any = None, *, how: str = ""
) -> list[dict[str, Any]]:
    """The nodes of the plan for these parameters."""
    cursor.execute(f"explain (format json{how}) {text}", params)
    return nodes_of(cursor)


def kept_plan(
    cursor: psycopg.Cursor[Any], text: str, params: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The nodes of the plan that a session of the store keeps for all parameters."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    numbered = re.sub(r"%\((\w+)\)s", number, text).replace("%%", "%")
    cursor.execute(f"prepare asked as {numbered}".encode())
    literals = psycopg.ClientCursor(cursor.connection)
    given = ", ".join(literals.mogrify("%s", [params[name]]) for name in names)
    cursor.execute(f"explain (format json) execute asked ({given})".encode())
    nodes = nodes_of(cursor)
    cursor.execute("select generic_plans from pg_prepared_statements where name = 'asked'")
    assert cursor.fetchall() == [(1,)]
    cursor.execute("deallocate asked")
    return nodes


def nodes_of(cursor: psycopg.Cursor[Any]) -> list[dict[str, Any]]:
    """The nodes of the plan that was just explained."""
    (row,) = cursor.fetchall()
    found: list[dict[str, Any]] = []
    waiting = [row[0][0]["Plan"]]
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += node.get("Plans", [])
    return found


def asked(store: PostgresStore, running: list[Lease]) -> dict[str, dict[str, Any]]:
    """What the statements that look for jobs are told."""
    process = {"process_id": "p", "claim_id": 2, "now": None}
    reports = {
        **store.ending(),
        **process,
        "ids": [lease.job_id for lease in running],
        "runs": [1] * len(running),
        "results": [None] * len(running),
        "count": len(running),
        "strict": True,
        "slotted": False,
        **store.listened(tell=False),
    }
    return {
        "exchange": {**reports, **_line(EVERYTHING[0]), **FRONT, "wanted": 100, "slow": 0},
        "end_plain": reports,
        "look": {**process, "any": True},
        "take_queue": {**process, "now": 1, "queue": "q1", "wanted": 100},
        "take_ids": {**process, "now": 1, "ids": reports["ids"], "wanted": 10, "chosen": True},
        "ready_heads": {"queues": ["q1", "q2"], "each": 5},
        "leased": {"ids": reports["ids"]},
        "unreached": {"process_id": "p", "oldest_claim": 1, "limit": 10},
        "running": {"process_id": "p", "limit": 10},
        "due": {"now": 1, "limit": 10},
        "expired": {"now": 1, "limit": 10},
        "dead_processes": {"lease_now": 1},
    }


@pytest.mark.parametrize("seen", ["full", "emptied"])
@pytest.mark.parametrize("steered", [True, False])
def test_claims_and_reports_find_their_jobs_by_an_index(
    store: PostgresStore, look: psycopg.Connection[Any], *, steered: bool, seen: str
) -> None:
    register(store)
    if seen == "emptied":
        # What is known of the table is from a moment in which everything had just gone.
        look.execute("alter table longshore_job set (autovacuum_enabled = off)")
        store.run(store.insert([job() for _ in range(10_000)]))
        look.execute("delete from longshore_job")
        look.execute("analyze longshore_job")
    store.run(store.insert([job(queue=f"q{number % 3}") for number in range(10_000)]))
    if seen == "full":
        look.execute("vacuum analyze")
    # Unsteered, hundreds may be looked for in a small table by reading it: it costs little.
    count = 100 if steered else 3
    running = leases(store.run(store.claim(ClaimRequest("p", 1, count, EVERYTHING))))
    link = store._pool.take() if steered else None
    cursor = link.cursor if link else look.cursor()
    for name, params in asked(store, running).items():
        nodes = (kept_plan if steered else plan)(cursor, store.sql[name].text, params)
        jobs = [
            node
            for node in nodes
            if node.get("Relation Name") == "longshore_job"
            and (steered or node.get("Alias") != "ahead")  # never of a small table
        ]
        assert jobs, name
        used = {node.get("Index Name", node["Node Type"]) for node in jobs}
        assert "Seq Scan" not in used, (name, [n for n in jobs if n["Node Type"] == "Seq Scan"])
        # An index read from end to end is no better.
        whole = [
            node
            for node in jobs
            if node.get("Index Name") == "longshore_job_pkey" and "Index Cond" not in node
        ]
        assert not whole, (name, whole)
        if name in {"exchange", "take_queue", "ready_heads"}:
            assert "longshore_job_line" in used, (name, used)
    if link:
        store._pool.give_back(link, healthy=True)


def test_a_claim_is_planned_once_and_what_a_person_looks_for_each_time(
    store: PostgresStore,
) -> None:
    """To plan a claim takes longer than to carry it out; of a search it decides what is read."""
    register(store)
    for number in range(1, 16):
        store.run(store.insert([job(kind="app.some"), job(kind="app.other")]))
        assert store.run(store.claim(ClaimRequest("p", number, 1, EVERYTHING))).jobs
        assert store.run(store.find(Filter(kinds=("app.other",)), limit=5)).records
    link = store._pool.take()
    link.cursor.execute("select statement, generic_plans, custom_plans from pg_prepared_statements")
    kept, fitted = Counter[str](), Counter[str]()
    for text, generic, custom in link.cursor.fetchall():
        title = text.lstrip().partition("\n")[0]
        kept[title] += generic
        fitted[title] += custom
    store._pool.give_back(link, healthy=True)
    titles = {query.name: query.text.lstrip().partition("\n")[0] for query in store.sql}
    assert kept[titles["exchange"]] > 5
    assert fitted[titles["exchange"]] == 0
    found = [title for name, title in titles.items() if name.startswith("find_")]
    assert sum(fitted[title] for title in found) > 5


def test_an_id_is_looked_for_on_its_day_alone(
    store: PostgresStore, look: psycopg.Connection[Any]
) -> None:
    store.migrate()
    for day in range(20_000, 20_030):
        look.execute(
            f"create table longshore_ended_d{day} partition of longshore_ended"
            f" for values from ({day}) to ({day + 1})"
        )
    ids = [id_of(20_007, 1), id_of(20_008, 2)]
    for name in ("get", "existing", "leased_ended"):
        nodes = plan(look.cursor(), store.sql[name].text, {"ids": ids}, how=", analyze")
        read = {
            node["Relation Name"]
            for node in nodes
            if node.get("Actual Loops") and "longshore_ended" in node.get("Relation Name", "")
        }
        assert read == {
            "longshore_ended_rest",
            "longshore_ended_d20007",
            "longshore_ended_d20008",
        }, name


# --- history ---


def days_of(look: psycopg.Connection[Any]) -> set[int]:
    rows = look.execute(
        "select substring(relname from '_d([0-9]+)$')::int from pg_class"
        " where relkind = 'r' and relname ~ '_ended_d[0-9]+$'"
    ).fetchall()
    return {day for (day,) in rows}


def end_some(store: PostgresStore, day: int, count: int, first: int = 0) -> list[str]:
    ids = [id_of(day, first + number) for number in range(count)]
    store.run(store.insert([job(id=one) for one in ids]))
    given = store.run(store.claim(ClaimRequest("p", day * 1000 + first, count, EVERYTHING)))
    held = store.run(store.finish([Ending(e, JobState.SUCCEEDED) for e in leases(given)]))
    assert len(held) == count
    return ids


def test_days_are_made_ahead_and_dropped_whole(
    where: Place, look: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "BIG_DAY", 4)
    clock = ManualClock()
    today = clock.now() // DAY
    store = PostgresStore(where.url, clock=clock)
    store.migrate()
    assert days_of(look) == set(range(today, today + 10)), "made by hand for longer"
    later = ", ".join(f"longshore_ended_d{day}" for day in range(today + 3, today + 10))
    look.execute(f"drop table {later}")
    register(store, lease=100 * DAY)
    old, few = end_some(store, today, 6), end_some(store, today - 1, 2)
    clock.advance(DAY)
    late = end_some(store, today, 1, first=50)
    assert count_of(look, f"longshore_ended_d{today}") == 7
    assert count_of(look, "longshore_ended_rest") == 2, "yesterday had no partition"
    clock.advance(DAY + 1)
    # What lies without a day goes one by one as it is due; a big day is left until all of it is.
    assert store.run(store.prune(100)) == 2
    assert set(store.run(store.get([*old, *few, *late]))) == {*old, *late}
    assert today + 4 in days_of(look)
    clock.advance(DAY)
    assert store.run(store.prune(100)) == 7
    assert today not in days_of(look)
    assert store.run(store.get([*old, *few, *late])) == {}
    assert store.run(store.count(Filter())) == ()
    store.close()


def test_of_two_that_are_elected_at_once_one_leads(where: Place) -> None:
    won: list[bool] = []

    def hook(name: str, number: int) -> None:
        if (name, number) == ("elect", 2):
            won.append(other.run(other.elect("p2", DAY)))

    clock = ManualClock()
    other = PostgresStore(where.url, clock=clock)
    store = PostgresStore(where.url, clock=clock, on_statement=hook)
    mine = store.run(store.elect("p1", DAY))
    assert (mine, won) == (False, [True])
    other.close()
    store.close()


def test_a_small_day_is_pruned_job_by_job(where: Place, look: psycopg.Connection[Any]) -> None:
    clock = ManualClock()
    today = clock.now() // DAY
    store = PostgresStore(where.url, clock=clock)
    register(store, lease=100 * DAY)
    first = end_some(store, today, 3)
    clock.advance(1000)
    end_some(store, today, 2, first=10)
    assert count_of(look, f"longshore_ended_d{today}") == 5
    clock.advance(DAY - 500)
    assert [store.run(store.prune(2)) for _ in range(3)] == [2, 1, 0]
    assert store.run(store.get(first)) == {}
    assert sum(counted.jobs for counted in store.run(store.count(Filter()))) == 2
    store.close()


def test_a_job_kept_for_longer_holds_no_day_back(
    where: Place, look: psycopg.Connection[Any]
) -> None:
    store = PostgresStore(where.url, retention=Retention(succeeded=2 * DAY))
    register(store)
    today = time.time_ns() // 1000 // DAY
    usual, long, ever = job(), job(keep_result=9 * DAY), job(keep_result=None)
    store.run(store.insert([usual, long, ever]))
    given = leases(store.run(store.claim(ClaimRequest("p", 1, 3, EVERYTHING))))
    store.run(store.finish([Ending(lease, JobState.SUCCEEDED) for lease in given]))
    assert count_of(look, f"longshore_ended_d{today}") == 1
    assert count_of(look, "longshore_ended_rest") == 2
    assert len(store.run(store.get([usual.id, long.id, ever.id]))) == 3
    store.close()


def test_history_that_somebody_reads_does_not_stop_anybody(
    where: Place, look: psycopg.Connection[Any]
) -> None:
    clock = ManualClock()
    store = PostgresStore(where.url, clock=clock)
    register(store, lease=100 * DAY)
    today = clock.now() // DAY
    end_some(store, today, 2)
    clock.advance(5 * DAY)
    with look.transaction():
        look.execute("select count(*) from longshore_ended")  # holds every partition
        assert store.run(store.prune(100)) == 2
        assert today in days_of(look)
        end_some(store, today + 5, 1)
    assert store.run(store.prune(100)) == 0
    assert days_of(look) == set(range(today + 3, today + 10))
    store.close()


def test_counts_stay_exact_and_few(store: PostgresStore, look: psycopg.Connection[Any]) -> None:
    register(store)
    today = time.time_ns() // 1000 // DAY
    ids = [one for number in range(5) for one in end_some(store, today, 2, first=number * 2)]
    store.run(store.retry(ids[:1]))
    store.run(store.delete(ids[1:3]))
    assert count_of(look, "longshore_count") > 5
    before = store.run(store.count(Filter()))
    store.run(store.prune(10))
    assert count_of(look, "longshore_count") == 1
    assert store.run(store.count(Filter())) == before
    assert {counted.state: counted.jobs for counted in before} == {
        JobState.SUCCEEDED: 7,
        JobState.AVAILABLE: 1,
    }


def count_of(look: psycopg.Connection[Any], table: str) -> int:
    row = look.execute(f"select count(*) from {table}").fetchone()
    assert row is not None
    return int(row[0])
