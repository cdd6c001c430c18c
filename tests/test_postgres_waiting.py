"""A PostgreSQL database: who is told of what, and what a claim that finds nothing leaves behind."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from longshore.core.limits import Limit, Rules
from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import Beat, ClaimRequest, Filter, ProcessBeat, Rescue
from longshore.core.store_url import parse_url
from longshore.stores.postgres.core import FEW
from longshore.stores.postgres.store import PostgresStore
from longshore.worker import rescues
from longshore.worker.rescues import rescue_all
from tests import postgres_tools
from tests.harbour_tools import eventually
from tests.places import Place, postgres
from tests.postgres_tools import PLENTY, exchange, leases, over
from tests.store_tools import EVERYTHING, LEASE, claim, job, register

pytestmark = pytest.mark.servers

where = postgres_tools.where
store = postgres_tools.store
look = postgres_tools.look


@pytest.fixture
def listener(store: PostgresStore, where: Place) -> Iterator[psycopg.Connection[Any]]:
    store.migrate()
    with contextlib.closing(postgres(parse_url(where.url))) as connection:
        connection.execute('listen "longshore_jobs"')
        yield connection


def ends(listener: psycopg.Connection[Any]) -> int:
    return [told.payload for told in listener.notifies(timeout=0.3)].count("end")


def lie_down(store: PostgresStore, listener: psycopg.Connection[Any]) -> None:
    """Show that this one waits."""
    listener.execute("select pg_advisory_lock_shared(%s)", [store.ear])


def running(store: PostgresStore, jobs: int, claim_id: int = 1) -> list[Lease]:
    store.run(store.insert([job() for _ in range(jobs)]))
    return leases(store.run(store.claim(ClaimRequest("p", claim_id, jobs, EVERYTHING))))


def test_a_claim_that_finds_nothing_locks_nothing_and_so_writes_nothing(
    store: PostgresStore, look: psycopg.Connection[Any]
) -> None:
    register(store)

    def locked() -> bool:
        """Whether the lease's row was ever held: a lock is a write, which waits for the disk."""
        (row,) = look.execute("select xmax::text from longshore_process").fetchall()
        return row != ("0",)

    for number in range(3):
        assert claim(store, number + 1) == []
    assert not locked()
    new = job()
    store.run(store.insert([new]))
    assert claim(store, 9) == [new.id]
    assert locked()


def test_a_claim_that_finds_nothing_says_that_the_lease_is_gone(
    store: PostgresStore, look: psycopg.Connection[Any]
) -> None:
    register(store)
    look.execute("update longshore_process set expires_at = 1")
    assert not store.run(store.claim(ClaimRequest("p", 1, 1, EVERYTHING))).live
    look.execute("delete from longshore_process")
    assert not store.run(store.claim(ClaimRequest("p", 2, 1, EVERYTHING))).live
    store.run(store.insert([job()]))
    store._in_vain = 0  # by the one statement again
    assert not store.run(store.claim(ClaimRequest("p", 3, 1, EVERYTHING))).live


@pytest.mark.parametrize("quick", [True, False], ids=["one statement", "a transaction"])
def test_a_beat_and_a_claim_do_not_wait_for_each_other(
    store: PostgresStore, where: Place, look: psycopg.Connection[Any], quick: bool
) -> None:
    """Else a beat waits for a claim of each of its processes, and the claims of all for it."""
    for process in ("p", "q"):
        register(store, process)
    mine, later = job(), job()
    store.run(store.insert([mine, later]))
    store.quick = quick
    look.autocommit = True
    renewed = Beat((ProcessBeat("p", 0), ProcessBeat("q", 0)), LEASE)
    # A claim is under way, and a beat comes; then the other way round.
    with look.transaction():
        claimed = over(look, store.claim(ClaimRequest("p", 1, 1, EVERYTHING)))
        assert store.run(store.beat(renewed)).lost == frozenset()
    assert [one.id for one in claimed.jobs] == [mine.id]
    with look.transaction():
        assert over(look, store.beat(renewed)).lost == frozenset()
        assert claim(store, 2, 1) == [later.id]
    # Who takes a lease away waits for a claim under it.
    store.run(store.insert([job()]))
    with look.transaction(), contextlib.closing(postgres(parse_url(where.url))) as other:
        assert over(look, store.claim(ClaimRequest("p", 3, 1, EVERYTHING))).jobs
        other.execute("set lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            over(other, store.rescue(Rescue("p")))


@pytest.mark.parametrize("carried_out", [True, False], ids=["carried out", "given up"])
def test_a_job_that_is_reported_on_while_its_process_is_given_up_is_not_forgotten(
    store: PostgresStore, where: Place, look: psycopg.Connection[Any], carried_out: bool
) -> None:
    """The last words of a process that was killed may still be carried out, or be taken back."""
    register(store)
    mine, *others = running(store, 3)
    look.autocommit = True
    words = postgres(parse_url(where.url))
    words.execute("begin")
    over(words, store.finish([Ending(mine, JobState.SUCCEEDED)]))
    first = store.run(store.rescue(Rescue("p")))
    assert (set(first.leases), first.withheld) == (set(others), 1)
    last = threading.Timer(0.3, words.commit if carried_out else words.close)
    last.start()
    began = time.monotonic()
    assert rescue_all(store, Rescue("p")) == ((0, 0) if carried_out else (1, 1))
    assert 0.1 < time.monotonic() - began < rescues.MOMENT
    last.join()
    words.close()
    assert not store.run(store.count(Filter(states=frozenset({JobState.RUNNING}))))
    assert not look.execute("select id from longshore_process").fetchall()


def test_what_somebody_holds_for_long_is_not_waited_for(
    store: PostgresStore,
    where: Place,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    register(store)
    mine = running(store, 1)
    monkeypatch.setattr(rescues, "MOMENT", 0.1)
    words = postgres(parse_url(where.url))
    with contextlib.closing(words), caplog.at_level("INFO", "longshore"):
        words.execute("begin")
        over(words, store.finish([Ending(mine[0], JobState.SUCCEEDED)]))
        assert rescue_all(store, Rescue("p")) == (0, 0)
    assert "1 jobs of a process that is gone are held" in caplog.text
    eventually(lambda: list(store.run(store.rescue(Rescue())).leases) == mine)


def test_nobody_is_told_of_work_where_nobody_waits(
    store: PostgresStore, where: Place, listener: psycopg.Connection[Any]
) -> None:
    """Commits that tell wait for each other's disk. Who lies down looks at what came before."""

    def heard() -> int:
        return len(list(listener.notifies(timeout=0.3)))

    def insert() -> None:
        store._hinted = float("-inf")  # it has not told for long
        store.run(store.insert([job(fresh=True)]))

    mine = PostgresStore(where.url).watch()
    insert()
    assert heard() == 0
    while mine.wait(0.3):
        pass  # it looks at what came before
    assert waits(listener)
    insert()
    assert heard() == 1
    assert mine.wait(PLENTY)
    eventually(lambda: not waits(listener))
    insert()
    assert heard() == 0, "who was told has something to do"
    # In a transaction of others it is told in any case: who lies down before it ends sees nothing.
    store.quick = False
    over(listener, store.insert([job()]))
    assert heard() == 1
    mine.close()


def test_a_listener_whose_connection_is_found_to_be_lost_makes_another(
    store: PostgresStore, look: psycopg.Connection[Any]
) -> None:
    """The driver may find it out while something is sent, and tells at the next question."""
    watch = store.watch()
    while watch.wait(0.3):
        pass  # it looks at what came before
    lost = watch._connection
    assert lost is not None
    look.execute("select pg_terminate_backend(%s)", [lost.pgconn.backend_pid])
    with contextlib.suppress(psycopg.Error):
        eventually(lost.pgconn.consume_input)
    assert lost.pgconn.status == psycopg.pq.ConnStatus.BAD
    assert not watch.wait(0.2)
    while watch.wait(0.3):
        pass
    assert watch._connection not in (None, lost)
    store._hinted = float("-inf")
    store.run(store.insert([job(fresh=True)]))
    assert watch.wait(PLENTY)
    watch.close()


def waits(look: psycopg.Connection[Any]) -> bool:
    """Whether somebody does in this database: beside it the workers of other tests wait."""
    row = look.execute(
        "select count(*) from pg_locks join pg_database as d on d.oid = database"
        " where locktype = 'advisory' and d.datname = current_database()"
    ).fetchone()
    assert row is not None
    return bool(row[0])


@pytest.mark.parametrize("exchanged", [False, True])
def test_each_end_is_told_at_once_while_they_are_few(
    store: PostgresStore, listener: psycopg.Connection[Any], exchanged: bool
) -> None:
    lie_down(store, listener)
    register(store)
    running_now = running(store, 12)
    for number, lease in enumerate(running_now):
        if exchanged:
            exchange(store, 10 + number, 1, [lease])
        else:
            store.run(store.finish([Ending(lease, JobState.SUCCEEDED)]))
    assert ends(listener) == 12


@pytest.mark.parametrize("how", ["finish", "exchange"])
def test_nobody_is_told_of_ends_where_nobody_waits(
    store: PostgresStore, listener: psycopg.Connection[Any], how: str
) -> None:
    register(store)
    for number in range(4):
        (lease,) = running(store, 1, 10 + 2 * number)
        if number == 2:
            assert ends(listener) == 0
            lie_down(store, listener)
        if how == "exchange":
            exchange(store, 11 + 2 * number, 1, [lease])
        else:
            store.run(store.finish([Ending(lease, JobState.SUCCEEDED)]))
    assert ends(listener) == 2
    # In a transaction of others it is told in any case.
    listener.execute("select pg_advisory_unlock_all()")
    store.quick = False
    (lease,) = running(store, 1, 30)
    over(listener, store.finish([Ending(lease, JobState.SUCCEEDED)]))
    assert ends(listener) == 1
    # And in a transaction that goes on: it may be long until its commit.
    store.quick = True
    one, other = running(store, 2, 31)
    mixed = [Ending(one, JobState.SUCCEEDED), Ending(other, JobState.CANCELLED)]
    store.run(store.finish(mixed))
    assert ends(listener) == 1


def test_ends_of_many_are_told_with_their_commits_now_and_then(
    store: PostgresStore, listener: psycopg.Connection[Any]
) -> None:
    lie_down(store, listener)
    register(store)
    held = running(store, 10 * (FEW + 1))
    while held:
        batch, held = held[: FEW + 1], held[FEW + 1 :]
        store._told_end = float("inf")  # it has been told just now
        store.run(store.finish([Ending(lease, JobState.SUCCEEDED) for lease in batch]))
    assert ends(listener) == 0


def test_who_claims_is_not_woken_by_jobs_that_succeeded(store: PostgresStore, where: Place) -> None:
    register(store)
    claim(store)
    mine = store.watch()
    other = PostgresStore(where.url)
    while mine.wait(0.3):
        pass
    held = running(other, 2)
    assert mine.wait(PLENTY), "there is work"
    while mine.wait(0.3):
        pass
    other.run(other.finish([Ending(held[0], JobState.SUCCEEDED)]))
    assert not mine.wait(0.3)
    other.run(other.finish([Ending(held[1], JobState.AVAILABLE)]))
    assert mine.wait(PLENTY), "there is work again"
    mine.close()
    other.close()


def test_who_claims_is_woken_by_an_end_that_lets_another_go_on(
    store: PostgresStore, where: Place
) -> None:
    register(store)
    rules = Rules(limits=(Limit("one", "", 1),))
    store.run(store.insert([job(rules=rules) for _ in range(2)]))
    mine = store.watch()
    (held,) = leases(store.run(store.claim(ClaimRequest("p", 1, 2, EVERYTHING))))
    while mine.wait(0.1):
        pass
    other = PostgresStore(where.url)
    other.run(other.finish([Ending(held, JobState.SUCCEEDED)]))
    assert mine.wait(PLENTY), "the next has room"
    mine.close()
    other.close()
