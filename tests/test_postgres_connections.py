"""A PostgreSQL database: those who claim at once, connections, hints, and what errors say.

What every store must do alike is in the conformance suite.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import (
    ClaimRequest,
    Filter,
    Operation,
    Retention,
)
from longshore.core.store_url import parse_url
from longshore.errors import (
    ConfigurationError,
    SchemaMismatch,
    StoreError,
    StoreUnavailable,
    StoreUnwritable,
)
from longshore.stores.postgres import pool
from longshore.stores.postgres.store import PostgresStore, open_postgres
from longshore.stores.sql.schema import Known
from tests import postgres_tools
from tests.places import Place, place, postgres
from tests.postgres_tools import PLENTY, kill_others, leases
from tests.servers import shared
from tests.store_tools import EVERYTHING, claim, job, migrations, register

pytestmark = pytest.mark.servers

where = postgres_tools.where
store = postgres_tools.store
look = postgres_tools.look


def test_who_is_cut_off_in_a_transaction_does_not_hold_its_locks_for_long(
    where: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = pool._STEER  # pyright: ignore[reportPrivateUsage]
    assert "'3s'" in usual
    monkeypatch.setattr(pool, "_STEER", usual.replace("'3s'", "'400ms'"))
    with contextlib.closing(PostgresStore(where.url)) as store:
        store.migrate()
        new = job()
        store.run(store.insert([new]))
        silent = store._pool.take()  # pyright: ignore[reportPrivateUsage]
        silent.connection.execute("begin")
        silent.connection.execute("select 1 from longshore_job for update")
        assert store.run(store.cancel([new.id], None)).changed
        store._pool.give_back(silent, healthy=False)  # pyright: ignore[reportPrivateUsage]


# --- many at once ---


def test_eight_that_claim_share_every_job_once(store: PostgresStore, where: Place) -> None:
    store.migrate()
    new = [job(queue=f"q{number % 2}") for number in range(800)]
    store.run(store.insert(new))
    ran: list[str] = []
    failures: list[BaseException] = []

    def drain(name: str) -> None:
        mine = PostgresStore(where.url)
        try:
            register(mine, name)
            number, ended, idle = 0, list[Lease](), 0
            while idle < 3:
                number += 1
                endings = [Ending(lease, JobState.SUCCEEDED) for lease in ended]
                request = ClaimRequest(name, number, 7, EVERYTHING)
                answer = mine.run(mine.exchange(endings, request))
                assert answer.claim.live
                assert len(answer.held) == len(ended)
                ended = leases(answer.claim, name)
                ran.extend(lease.job_id for lease in ended)
                idle = 0 if ended else idle + 1
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)
        finally:
            mine.close()

    drains = [threading.Thread(target=drain, args=(f"p{number}",)) for number in range(8)]
    for thread in drains:
        thread.start()
    for thread in drains:
        thread.join(50)
    assert failures == []
    assert sorted(ran) == sorted(one.id for one in new)
    assert [(c.state, c.jobs) for c in store.run(store.count(Filter(queues=("q0",))))] == [
        (JobState.SUCCEEDED, 400)
    ]


def test_a_process_has_few_connections(where: Place, look: psycopg.Connection[Any]) -> None:
    store = PostgresStore(f"{where.url}?application_name=few&connections=3")
    store.migrate()
    threads = [
        threading.Thread(target=lambda: [store.run(store.insert([job()])) for _ in range(20)])
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()

    async def many() -> None:
        await asyncio.gather(*(store.arun(store.insert([job()])) for _ in range(40)))

    asyncio.run(many())
    for thread in threads:
        thread.join(PLENTY)
    row = look.execute(
        "select count(*) from pg_stat_activity where application_name = 'few'"
    ).fetchone()
    assert row is not None
    assert 1 <= row[0] <= 6
    assert sum(counted.jobs for counted in store.run(store.count(Filter()))) == 280
    store.close()


def test_each_event_loop_has_connections_of_its_own(store: PostgresStore) -> None:
    async def twice() -> int:
        await store.arun(store.insert([job()]))
        page = await store.arun(store.find(Filter(), limit=10))
        return len(page.records)

    assert [asyncio.run(twice()) for _ in range(3)] == [1, 2, 3]
    assert len(store._pool._loops) == 1, "those of loops that are over are closed"


def test_a_cancelled_call_leaves_nothing_behind(store: PostgresStore) -> None:
    store.migrate()

    async def begun() -> None:
        with contextlib.suppress(TimeoutError):
            many = store.insert([job() for _ in range(300)])
            await asyncio.wait_for(store.arun(many), 0.002)
        await store.arun(store.insert([job()]))

    asyncio.run(begun())
    assert sum(counted.jobs for counted in store.run(store.count(Filter()))) in (1, 301)


FORK = """
import os, sys
from longshore.core.store import Filter
from longshore.stores.postgres.store import PostgresStore
from tests.store_tools import job
store = PostgresStore(sys.argv[1])
watch = store.watch()
watch.wait(0)
store.run(store.insert([job()]))
child = os.fork()
store.run(store.insert([job()]))
if child == 0:
    store.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
store.run(store.insert([job()]))
assert watch.wait(20)
print(len(store.run(store.find(Filter(), limit=9)).records))
watch.close()
store.close()
"""


def test_a_forked_child_leaves_its_parents_connections_alone(where: Place) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK, where.url],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("4", "")


# --- hints ---


def test_a_wait_ends_when_a_job_arrives_or_has_ended(store: PostgresStore, where: Place) -> None:
    other = PostgresStore(where.url)
    register(other)
    watch = store.watch()
    assert watch.wait(PLENTY), "what came before it listened is looked for once"
    assert not watch.wait(0)
    began = time.monotonic()
    other.run(other.insert([job(fresh=True)]))
    assert watch.wait(PLENTY)
    assert [watch.wait(PLENTY), watch.wait(PLENTY), watch.wait(0)] == [True, True, False]
    (lease,) = leases(other.run(other.claim(ClaimRequest("p", 1, 1, EVERYTHING))))
    other.run(other.finish([Ending(lease, JobState.SUCCEEDED)]))
    assert watch.wait(PLENTY)
    assert time.monotonic() - began < PLENTY / 2
    watch.close()
    other.close()


def test_hints_are_not_sent_for_each_job(store: PostgresStore, where: Place) -> None:
    with contextlib.closing(postgres(parse_url(where.url))) as listener:
        store.migrate()
        listener.execute('listen "longshore_jobs"')
        listener.execute("select pg_advisory_lock_shared(%s)", (store.ear,))
        began = time.monotonic()
        for _ in range(200):
            store.run(store.insert([job(fresh=True)]))
        took = time.monotonic() - began
        heard = len(list(listener.notifies(timeout=0.2)))
    assert 1 <= heard <= took / 0.005 + 2


def test_a_watch_listens_again_after_its_connection_was_lost(
    store: PostgresStore, where: Place, look: psycopg.Connection[Any]
) -> None:
    watch = store.watch()
    while watch.wait(0.05):
        pass
    kill_others(look)
    deadline = time.monotonic() + PLENTY
    while not watch.wait(0.2):  # the hint that it listens anew
        assert time.monotonic() < deadline
    store.run(store.insert([job()]))
    assert watch.wait(PLENTY)
    watch.close()


# --- lost connections, and what is said ---


def test_a_lost_connection_is_not_noticed(
    store: PostgresStore, look: psycopg.Connection[Any]
) -> None:
    register(store)
    ids = [job(fresh=True) for _ in range(3)]
    for one in ids:
        kill_others(look)
        (answer,) = store.run(store.insert([one]))
        assert not answer.conflict
    kill_others(look)
    assert sorted(claim(store)) == sorted(one.id for one in ids)

    async def some() -> list[bool]:
        await store.arun(store.get([]))
        kill_others(look)
        (answer,) = await store.arun(store.insert([job()]))
        return [answer.conflict]

    assert asyncio.run(some()) == [False]


def test_a_transaction_that_was_cut_off_begins_afresh(
    where: Place, look: psycopg.Connection[Any]
) -> None:
    cut = 0

    def hook(name: str, number: int) -> None:
        nonlocal cut
        if name == "cancel" and number == 2 and not cut:
            cut += 1
            kill_others(look)

    store = PostgresStore(where.url, on_statement=hook)
    new = job()
    store.run(store.insert([new]))
    assert store.run(store.cancel([new.id], "stop")).changed == (new.id,)
    assert cut == 1
    assert store.run(store.count(Filter()))[0].jobs == 1
    store.close()


def test_a_server_that_is_away_is_told_after_some_patience(where: Place) -> None:
    store = PostgresStore("postgresql://somebody:s3cret@127.0.0.1:1/none", patience=0.2)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="cannot be reached") as told:
        store.run(store.get([]))
    assert 0.15 < time.monotonic() - began < PLENTY
    assert "s3cret" not in str(told.value)
    store.close()


def test_what_no_patience_helps_against_is_told_at_once(where: Place) -> None:
    url = parse_url(where.url)
    for wrong, words in (
        (where.url.replace(url.path, "no_such_database"), "does not exist"),
        (where.url.replace("://postgres", "://no_such_role"), "refuses this user"),
    ):
        if wrong == where.url:
            continue  # another user, as the server given says
        store = PostgresStore(wrong, patience=1000)
        with pytest.raises(StoreUnavailable, match=words):
            store.run(store.get([]))
        store.close()


def test_a_user_without_the_right_is_told_who_has_it(
    store: PostgresStore, where: Place, look: psycopg.Connection[Any]
) -> None:
    role = f"{parse_url(where.url).path}_role"
    look.execute(f"create role {role} login password 'pw'")
    try:
        url = parse_url(where.url)
        narrow = f"postgresql://{role}:pw@{url.host}:{url.port}/{url.path}"
        first = PostgresStore(narrow)
        with pytest.raises((StoreUnwritable, SchemaMismatch), match="longshore db up") as told:
            first.run(first.insert([job()]))
        assert ":pw@" not in str(told.value)
        first.close()
        store.migrate()
        for tables in ("select", "select, insert, update, delete"):
            look.execute(f"grant {tables} on all tables in schema public to {role}")
            mine = PostgresStore(narrow)
            if tables == "select":
                with pytest.raises(StoreUnwritable):
                    mine.run(mine.insert([job()]))
            else:
                register(mine)
                new = job()
                mine.run(mine.insert([new]))
                assert claim(mine) == [new.id]
                assert mine.run(mine.prune(10)) == 0, "without the right to make partitions"
            mine.close()
    finally:
        look.execute(f"drop owned by {role}; drop role {role}")


def test_a_database_that_cannot_hold_every_text_is_refused(
    where: Place, look: psycopg.Connection[Any]
) -> None:
    name = f"{parse_url(where.url).path}_latin"
    look.execute(
        f"create database {name} encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0"
    )
    try:
        store = PostgresStore(where.url.replace(parse_url(where.url).path, name))
        with pytest.raises(StoreError, match="UTF8"):
            store.run(store.get([]))
        store.close()
    finally:
        look.execute(f"drop database {name} with (force)")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://h/d?sychronous=full", "Did you mean synchronous"),
        ("postgresql://h/d?synchronous=maybe", "no durability 'maybe'"),
        ("postgresql://h/d?pgbouncer=yes", "pgbouncer is 0 or 1"),
        ("postgresql://h/d?connections=0", "from 1 to 1000"),
    ],
)
def test_options_are_checked(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        open_postgres(parse_url(url), retention=Retention(), prefix="a_", durability="full")


def test_without_its_driver_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from longshore.stores import connect\n"
        "from longshore.core.store import Retention\n"
        "connect('postgresql://h/d', retention=Retention(), prefix='a_', durability='full')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False
    )
    assert 'pip install "longshore[postgres]"' in done.stderr
    assert "ConfigurationError" in done.stderr


# --- connections that others share out ---


@pytest.fixture
def pooled(tmp_path: Path) -> Iterator[Place]:
    with place("pgbouncer", tmp_path) as made:
        yield made


def test_what_shares_out_connections_is_found_out(pooled: Place) -> None:
    store = PostgresStore(pooled.url)
    register(store)
    assert store._pool.pooled
    link = store._pool.take()
    assert link.connection.prepare_threshold is None
    store._pool.give_back(link, healthy=True)
    new = [job(fresh=True) for _ in range(30)]
    for one in new:
        store.run(store.insert([one]))
    taken = [claim(store, number, 1)[0] for number in range(1, 31)]
    assert taken == [one.id for one in new]
    watch = store.watch()
    assert not watch.wait(0.01), "polling has to do"
    watch.close()
    store.close()


def test_a_straight_connection_is_known_as_one(store: PostgresStore) -> None:
    store.migrate()
    assert not store._pool.pooled
    link = store._pool.take()
    (row,) = link.cursor.execute("show enable_seqscan").fetchall()
    store._pool.give_back(link, healthy=True)
    assert row == ("off",)
    said = PostgresStore(f"{shared('postgres18').url}?pgbouncer=1")
    link = said._pool.take()
    (row,) = link.cursor.execute("show enable_seqscan").fetchall()
    said._pool.give_back(link, healthy=True)
    said.close()
    assert row == ("on",)


@pytest.mark.parametrize("how", ["synchronous=normal", "synchronous=normal&pgbouncer=1"])
def test_a_commit_waits_for_the_disk_unless_told(
    where: Place, look: psycopg.Connection[Any], how: str
) -> None:
    # Whatever else this server of the tests does.
    look.execute(f"alter database {parse_url(where.url).path} set synchronous_commit = on")
    asked: list[str] = []
    for url in (where.url, f"{where.url}?{how}"):
        store = PostgresStore(url)
        store.migrate()

        def waits() -> Any:
            from longshore.stores.sql.statements import Query, Statement

            rows = yield Statement(Query("x", "select current_setting('synchronous_commit')"))
            return rows[0][0]

        asked.append(store.run(Operation("x", waits, writes=True)))
        store.close()
    assert asked == ["on", "off"]


# --- tables ---


def test_tables_made_by_hand_are_the_same(
    store: PostgresStore, look: psycopg.Connection[Any]
) -> None:
    look.execute("".join(migration.sql for migration in store.script()))
    status = store.schema()
    assert (status.pending, status.unknown) == ((), ())
    assert store.verify() == ()
    look.execute("drop index longshore_job_due; alter table longshore_job add extra text")
    assert {(found.table, found.what, found.problem) for found in store.verify()} == {
        ("longshore_job", "index longshore_job_due", "missing"),
        ("longshore_job", "column extra", "extra"),
    }


def test_a_new_database_gets_all_its_tables_or_none(store: PostgresStore) -> None:
    """Who opens it meanwhile never sees half of them."""
    broken = Known("999_broken", "insert into longshore_nowhere values (1);", additive=False)
    vars(store)["_migrations"] = {**store._migrations, broken.name: broken}
    with pytest.raises(SchemaMismatch, match="longshore_nowhere"):
        store.migrate()
    assert store.schema().applied == ()


def test_several_that_come_first_make_the_tables_once(where: Place) -> None:
    stores = [PostgresStore(where.url) for _ in range(4)]
    done: list[tuple[str, ...]] = []
    threads = [
        threading.Thread(target=lambda one=one: done.append(one.migrate())) for one in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PLENTY)
    assert sorted(name for names in done for name in names) == list(migrations())
    for one in stores:
        one.close()


def test_tables_of_others_are_left_alone(where: Place, look: psycopg.Connection[Any]) -> None:
    look.execute("create table longshore_job (mine text)")
    store = PostgresStore(where.url)
    with pytest.raises(SchemaMismatch, match="nothing was changed"):
        store.run(store.get([]))
    store.close()
    two = PostgresStore(where.url, prefix="two_")
    two.run(two.insert([job()]))
    two.close()
    assert json.dumps(look.execute("select * from longshore_job").fetchall()) == "[]"
