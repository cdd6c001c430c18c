"""The MariaDB and MySQL store and its server: tables, room, text, rights, addresses, versions."""

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from longshore.core.model import Ending, JobState, Lease
from longshore.core.store import ClaimRequest, Filter, Retention
from longshore.core.store_url import parse_url
from longshore.errors import (
    ConfigurationError,
    SchemaMismatch,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnwritable,
)
from longshore.stores.mysql import driver
from longshore.stores.mysql.store import MySQLStore, open_mysql
from longshore.stores.sql.schema import Known, read, split
from tests.mysql_tools import (
    EVERY,
    a_place,
    a_store,
    a_way_to_ask,
    a_way_to_open,
    new,
    register,
    user,
)
from tests.places import Place
from tests.store_tools import migrations
from tests.worker_tools import eventually

pytestmark = pytest.mark.servers
FIXTURES = (a_place, a_store, a_way_to_ask, a_way_to_open)


class TestMigrations:
    def test_one_that_stopped_half_way_is_named_and_goes_on(
        self, store: MySQLStore, opened: Callable[..., MySQLStore], ask: Callable[..., Any]
    ) -> None:
        tables = [name for (name,) in ask("show tables")]
        for done_but_not_noted in (0, 1):
            for table in tables:
                ask(f"drop table if exists {table}")
            migration = store.script()[0]
            statements = split(migration.sql)
            # The version table, the row that says it has begun, three tables.
            for statement in statements[:5]:
                ask(statement.replace("%", "%%"))
            ask("update longshore_migration set steps = %s", 3 - done_but_not_noted)
            fresh = opened()
            assert fresh.schema().half == ("001_jobs",)
            with pytest.raises(SchemaMismatch, match=r"001_jobs has run in part.*db up"):
                fresh.run(fresh.insert([new()]))
            assert fresh.migrate() == migrations()
            assert fresh.schema().half == ()
            assert [name for (name,) in ask("show tables")] == tables
            fresh.run(fresh.insert([new()]))

    def test_tables_of_somebody_else_are_left_alone(
        self, opened: Callable[..., MySQLStore], ask: Callable[..., Any]
    ) -> None:
        ask("create table longshore_job (mine int)")
        ask("insert into longshore_job values (7)")
        store = opened()
        for _ in range(2):
            with pytest.raises(SchemaMismatch, match="does not fit the tables that are there"):
                store.migrate()
            assert store.schema().half == ()
        assert ask("select * from longshore_job") == [(7,)]

    def test_many_who_come_first_make_the_tables_once(
        self, opened: Callable[..., MySQLStore]
    ) -> None:
        ran: list[tuple[str, ...]] = []
        stores = [opened() for _ in range(4)]
        threads = [
            threading.Thread(target=lambda mine=mine: ran.append(mine.migrate())) for mine in stores
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(50)
        assert sorted(ran) == [(), (), (), migrations()]

    def test_who_comes_while_the_first_makes_the_tables_waits(
        self, opened: Callable[..., MySQLStore], ask: Callable[..., Any]
    ) -> None:
        """Half-made tables are refused where nobody is at work on them, and only there."""
        first, following = opened(), opened()
        assert following.schema().applied == ()  # it is connected
        making = threading.Thread(target=first.migrate)
        making.start()
        eventually(lambda: bool(ask("show tables like 'longshore_job'")))
        following.run(following.insert([new()]))
        making.join(50)

    def test_who_comes_between_two_migrations_waits_for_the_rest(
        self, opened: Callable[..., MySQLStore], ask: Callable[..., Any]
    ) -> None:
        slow = Known("001_slow", "do sleep(0.5);", additive=True)
        known = read("mysql", "longshore_")
        slowed = dict(sorted({**known, slow.name: slow}.items()))
        first, following = opened(migrations=slowed), opened()
        assert following.schema().applied == ()  # it is connected
        making = threading.Thread(target=first.migrate)
        making.start()
        eventually(lambda: bool(ask("show tables like 'longshore_migration'")))
        eventually(lambda: bool(ask("select 1 from longshore_migration where applied_at > 0")))
        assert len(following.schema().applied) == len(known) + 1
        following.run(following.insert([new()]))
        making.join(50)

    def test_without_the_right_to_make_tables_it_says_who_must(
        self, where: Place, ask: Callable[..., Any], store: MySQLStore
    ) -> None:
        address = parse_url(where.url)
        with user(ask, address.path, "select, insert, update, delete") as (name, password):
            mine = driver.Place(
                address.host or "", address.port or 3306, name, password, address.path
            )
            worker = MySQLStore(mine)
            job = new()
            worker.run(worker.insert([job]))
            assert worker.run(worker.get([job.id])).keys() == {job.id}
            worker.close()
            other = MySQLStore(mine, prefix="other_")
            with pytest.raises(SchemaMismatch, match="longshore db up"):
                other.run(other.insert([new()]))
            other.close()
        with user(ask, address.path, "select") as (name, password):
            reader = MySQLStore(
                driver.Place(address.host or "", address.port or 3306, name, password, address.path)
            )
            with pytest.raises(StoreUnwritable):
                reader.run(reader.insert([new()]))
            assert reader.run(reader.get([job.id])).keys() == {job.id}
            reader.close()


class TestRoom:
    def test_many_large_jobs_travel_in_pieces_and_all_or_none(self, store: MySQLStore) -> None:
        jobs = [new(payload=b"x" * 600_000) for _ in range(30)]
        store.run(store.insert(jobs))
        again = [*(new(payload=b"x" * 600_000) for _ in range(3)), jobs[7], new(id=jobs[8].id)]
        answers = store.run(store.insert(again))
        assert [answer.conflict for answer in answers] == [False, False, False, False, True]
        found = store.run(store.find(Filter(), limit=100)).records
        assert {record.id for record in found} == {job.id for job in jobs}
        register(store, "p1")
        claim = store.run(store.claim(ClaimRequest("p1", 1, 30, EVERY)))
        large = b"y" * 700_000
        endings = [
            Ending(Lease(job.id, "p1", 1), JobState.SUCCEEDED, result=b'"%d%s"' % (n, large))
            for n, job in enumerate(claim.jobs)
        ]
        assert len(store.run(store.finish(endings))) == 30
        records = store.run(store.get([job.id for job in jobs]))
        assert [records[end.lease.job_id].result for end in endings] == [e.result for e in endings]

    def test_a_job_larger_than_a_packet_is_refused(
        self, store: MySQLStore, ask: Callable[..., Any]
    ) -> None:
        ((_, largest),) = ask("show variables like 'max_allowed_packet'")
        with pytest.raises(StoreFull, match="max_allowed_packet"):
            store.run(store.insert([new(payload=b"x" * int(largest))]))
        job = new()
        store.run(store.insert([job]))
        assert [one.id for one in store.run(store.find(Filter(), limit=9)).records] == [job.id]

    def test_text_is_kept_whatever_the_database_begins_with(
        self, where: Place, ask: Callable[..., Any], opened: Callable[..., MySQLStore]
    ) -> None:
        ask(f"alter database `{parse_url(where.url).path}` character set latin1")
        store = opened()
        job = new(kind="app.schiff🚢", payload='{"a":"é🚢"}'.encode(), tags=("ü🚢",))
        store.run(store.insert([job]))
        register(store, "p1")
        (claimed,) = store.run(store.claim(ClaimRequest("p1", 1, 10, EVERY))).jobs
        ending = Ending(
            Lease(job.id, "p1", 1), JobState.CANCELLED, reason="é🚢", result='"🚢"'.encode()
        )
        store.run(store.finish([ending]))
        record = store.run(store.get([job.id]))[job.id]
        assert (claimed.kind, claimed.payload, claimed.tags) == (job.kind, job.payload, job.tags)
        assert (record.reason, record.result) == ("é🚢", '"🚢"'.encode())

    def test_counts_are_put_together_and_stay_exact(
        self, store: MySQLStore, ask: Callable[..., Any]
    ) -> None:
        register(store, "p1")
        for number in range(1, 6):
            store.run(store.insert([new(), new(queue="other")]))
            claim = store.run(store.claim(ClaimRequest("p1", number, 10, EVERY)))
            store.run(
                store.finish(
                    [Ending(Lease(job.id, "p1", 1), JobState.SUCCEEDED) for job in claim.jobs]
                )
            )
        assert ask("select count(*) from longshore_count") == [(10,)]
        before = store.run(store.count(Filter()))
        store.run(store.prune(10))
        assert ask("select count(*) from longshore_count") == [(2,)]
        assert store.run(store.count(Filter())) == before


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("mysql://u:geheim@h/app?ssl_cert=x", "ssl_cert"),
            ("mysql://u:geheim@h", "no database"),
            ("mariadb://u:geheim@h/app?connect_timeout=soon", "connect_timeout"),
        ],
    )
    def test_what_is_wrong_with_one_is_told(self, url: str, says: str) -> None:
        with pytest.raises(ConfigurationError, match=says) as told:
            open_mysql(parse_url(url), retention=Retention(), prefix="x_", durability="full")
        assert "geheim" not in str(told.value)

    def test_durability_is_the_servers(self) -> None:
        address = parse_url("mysql://h/app")
        with pytest.raises(ConfigurationError, match="innodb_flush_log_at_trx_commit"):
            open_mysql(address, retention=Retention(), prefix="x_", durability="normal")

    def test_a_missing_driver_names_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pymysql", None)
        monkeypatch.setitem(sys.modules, "MySQLdb", None)
        with pytest.raises(ConfigurationError, match=r'pip install "longshore\[mysql\]"'):
            driver.Driver()

    def test_a_database_that_is_not_there_is_told(self, where: Place) -> None:
        address = parse_url(where.url.replace(parse_url(where.url).path, "nowhere_at_all"))
        store = open_mysql(address, retention=Retention(), prefix="x_", durability="full")
        with pytest.raises(StoreUnavailable, match="no such database"):
            store.run(store.insert([new()]))
        store.close()

    @pytest.mark.parametrize(
        ("version", "too_old"),
        [
            ("10.5.23-MariaDB-log", True),
            ("5.5.5-10.6.4-MariaDB", False),
            ("11.4.2-MariaDB-ubu2204", False),
            ("8.0.4-rc-log", True),
            ("8.0.11", False),
            ("5.7.44-log", True),
            ("9.1.0", False),
        ],
    )
    def test_servers_too_old_are_refused(self, version: str, too_old: bool) -> None:
        if not too_old:
            driver.check_version(version, "here")
            return
        with pytest.raises(StoreError, match="too old"):
            driver.check_version(version, "here")
