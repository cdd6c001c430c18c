"""A PostgreSQL store while an old transaction keeps what has gone: claims go on where they were.

What has to be slow and many for that is set to less here.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from longshore import Longshore
from longshore.core.model import Ending, JobState, NewJob
from longshore.core.store import Claim, ClaimRequest, Line
from longshore.stores.postgres import exchange as exchanging
from longshore.stores.postgres import marks
from longshore.stores.postgres.core import Alone
from longshore.stores.postgres.execute import execute
from longshore.stores.postgres.store import PostgresStore
from tests import postgres_tools
from tests.places import Place
from tests.postgres_tools import exchange, leases
from tests.store_tools import EVERYTHING, job, register

pytestmark = pytest.mark.servers

where = postgres_tools.where
store = postgres_tools.store

SECOND = 1_000_000
HOUR = 3600 * SECOND


@pytest.fixture
def going_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every claim that has taken a job is one after which the next goes on from there."""
    monkeypatch.setattr(marks, "SLOW", -SECOND)
    monkeypatch.setattr(exchanging, "SLOW", -SECOND)
    monkeypatch.setattr(marks, "SLOW_PER_JOB", 0)
    monkeypatch.setattr(marks, "MANY", 0)
    monkeypatch.setattr(marks, "SHARE", 1e-9)


def earlier(by: int, **fields: object) -> NewJob:
    """A job whose turn was so many microseconds ago, and that is only seen now."""
    at = time.time_ns() // 1000 - by
    return job(scheduled_at=at, created_at=at, **fields)


def claimed(store: PostgresStore, number: int, wanted: int = 10, **asked: Any) -> Claim:
    return store.run(store.claim(ClaimRequest("p", number, wanted, EVERYTHING, **asked)))


def ids(claim: Claim) -> list[str]:
    return [one.id for one in claim.jobs]


@pytest.fixture
def drained(going_on: None, store: PostgresStore) -> PostgresStore:
    """A store whose line was drained long after the times of its jobs."""
    register(store, lease=HOUR)
    store.run(store.insert([earlier(SECOND)]))
    assert len(claimed(store, 1).jobs) == 1
    return store


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Alone]]:
    """The statements that exchanges send."""
    statements: list[Alone] = []

    def noted(*given: Any) -> Alone:
        statements.append(Alone(*given))
        return statements[-1]

    monkeypatch.setattr(exchanging, "Alone", noted)
    return statements


def test_a_claim_reads_little_of_what_an_old_transaction_keeps(
    store: PostgresStore, where: Place, sent: list[Alone], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, patience = 6000, 30
    for module in (marks, exchanging):
        monkeypatch.setattr(module, "SLOW", 500)  # it would take ten times as many jobs
    monkeypatch.setattr(marks, "MANY", 2000)
    register(store, lease=HOUR)
    with psycopg.connect(where.url) as old:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        old.execute("select count(*) from longshore_job")
        number = 0
        for _ in range(jobs // 1000):
            store.run(store.insert([earlier(SECOND) for _ in range(1000)]))
            number += 1
            given = claimed(store, number, 1000)
            exchange(store, number, 0, leases(given))
        until = time.monotonic() + patience
        while not sent[-1].params["at_queue"]:
            # How much has gone is told of after a second, and asked for by a claim that is slow.
            assert time.monotonic() < until, "claims still begin at the front"
            number += 1
            store.run(store.insert([job()]))
            given = claimed(store, number)
            store.run(store.finish([Ending(one, JobState.SUCCEEDED) for one in leases(given)]))
        spent = {}
        for name, told in (("front", marks.EVERYTHING), ("marks", {})):
            nothing = {"ids": [], "runs": [], "results": [], "count": 0}
            params = {**sent[-1].params, **nothing, "claim_id": number + 1, **told}
            spent[name] = blocks(store, params)
        assert 4 * spent["marks"] < spent["front"], spent


def blocks(store: PostgresStore, params: Any) -> int:
    """How many blocks a statement looks at, by the server's own account, on a steered link."""
    link = store._pool.take()
    try:
        with link.connection.transaction(force_rollback=True):
            query = store.sql["exchange"]
            asked = type(query)("explain", f"explain (analyze, buffers, format json) {query.text}")
            plan = execute(link.cursor, Alone(asked, params))[0][0][0]["Plan"]
    finally:
        store._pool.give_back(link, healthy=True)
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def test_what_comes_meanwhile_is_claimed_in_its_order(drained: PostgresStore) -> None:
    store = drained
    new = [
        job(queue="other", priority=4),
        job(priority=5),
        job(priority=-5),
        earlier(HOUR, priority=7),
        job(),
        earlier(HOUR, priority=-7),
    ]
    store.run(store.insert(new))
    # More than one queue: that is another way, which looks at everything.
    order = [new[5].id, new[2].id, new[4].id, new[0].id, new[1].id, new[3].id]
    assert [ids(claimed(store, 2 + n, 1)) for n in range(3)] == [[one] for one in order[:3]]
    assert ids(claimed(store, 9)) == order[3:]


def test_priorities_of_one_queue_are_claimed_one_by_one_in_order(drained: PostgresStore) -> None:
    store = drained
    new = [job(priority=5), job(priority=-5), job(), earlier(HOUR, priority=7), job(priority=5)]
    store.run(store.insert(new))
    order = [new[1].id, new[2].id, new[0].id, new[4].id, new[3].id]
    assert [ids(claimed(store, 2 + n, 1)) for n in range(5)] == [[one] for one in order]
    # Each of them has its place now.
    again = [job(priority=priority) for priority in (7, 5, 0, -5, 6, -6)]
    store.run(store.insert(again))
    assert ids(claimed(store, 9)) == [again[n].id for n in (5, 3, 2, 1, 4, 0)]


@pytest.mark.parametrize("line", [Line(("*",)), Line(("default", "mail")), Line(("d*", "m*"))])
def test_a_queue_that_was_empty_is_seen_at_once(drained: PostgresStore, line: Line) -> None:
    store = drained

    def taken(number: int) -> list[str]:
        return ids(store.run(store.claim(ClaimRequest("p", number, 1, (line,)))))

    known = job()
    store.run(store.insert([known]))
    assert taken(2) == [known.id]
    for number, queue in enumerate(("mail", "default", "mail"), start=3):
        new = job(queue=queue)
        store.run(store.insert([new]))
        assert taken(number) == [new.id]


def test_what_is_seen_late_is_claimed_with_the_next_look_at_everything(
    drained: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = drained
    late = earlier(HOUR)
    store.run(store.insert([late]))
    given = claimed(store, 2)
    assert given.jobs == ()
    assert given.due_in is not None
    assert 0 < given.due_in <= marks.PUT_OFF * SECOND
    now = time.monotonic()
    monkeypatch.setattr(marks.time, "monotonic", lambda: now + given.due_in / 1e6)
    assert ids(claimed(store, 3)) == [late.id]


def test_who_ends_when_nothing_is_there_is_told_to_look_again(drained: PostgresStore) -> None:
    store = drained
    late = [earlier(HOUR), earlier(HOUR, id="00000000-0000-7000-8000-000000000000")]
    store.run(store.insert(late[:1]))
    given = claimed(store, 2, thorough=True)
    assert (given.jobs, given.due_in) == ((), 0)
    assert ids(claimed(store, 3, thorough=True)) == [late[0].id]
    given = claimed(store, 4, thorough=True)
    assert (given.jobs, given.due_in) == ((), 0)
    given = claimed(store, 5, thorough=True)
    assert (given.jobs, given.due_in) == ((), None)


@pytest.mark.usefixtures("going_on")
def test_a_worker_until_empty_leaves_nothing_behind(where: Place) -> None:
    ran: list[int] = []
    with contextlib.closing(Longshore(**where.settings)) as app:
        app.migrate()

        @app.job(kind="note")
        def note(number: int) -> None:
            ran.append(number)
            if number == 3:
                return
            with psycopg.connect(where.url) as connection:
                note.using(connection=connection).enqueue(number + 1)
                connection.execute(
                    "update longshore_job set scheduled_at = scheduled_at - %s"
                    " where state = 'available'",
                    [HOUR],
                )

        note.enqueue(1)
        app.worker().run(until_empty=True)
    assert ran == [1, 2, 3]


def test_the_line_goes_from_its_front_once_it_is_fast_again(
    drained: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = drained
    late = earlier(HOUR)
    monkeypatch.setattr(marks, "SLOW", HOUR)
    now = time.monotonic()
    monkeypatch.setattr(marks.time, "monotonic", lambda: now + 60)
    assert claimed(store, 2).jobs == ()
    store.run(store.insert([late]))
    assert ids(claimed(store, 3)) == [late.id]
